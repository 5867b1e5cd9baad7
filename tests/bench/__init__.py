"""How fast is it, beside what somebody would use instead? `make bench [ONLY=prefix]`."""
