"""What OAuth says to a client: challenges, metadata and token answers, read; requests for tokens, written."""
