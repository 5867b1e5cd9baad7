"""What should be done? Keeps the book and the market data, and decides what each account should trade."""
