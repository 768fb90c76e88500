"""The actors of the gateway: what they decide (`core`), how they speak (`bus`), and whom they reach (`upstream`)."""
