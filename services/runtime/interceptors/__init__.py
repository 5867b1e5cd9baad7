"""What happens to every call, whatever the method? One stage per file, composed once per method."""
