"""What should an account trade, and why? Values in, values out."""
