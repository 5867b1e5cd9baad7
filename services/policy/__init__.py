"""What is allowed: the rules for every account, who set them, who approved them, and since when."""
