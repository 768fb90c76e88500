"""How a user lets the gateway act for them at a server: the pages for their browser, and what they stand on."""
