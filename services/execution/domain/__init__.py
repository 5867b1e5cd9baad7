"""What may be sent, in which size, and who gets what: values in, values out."""
