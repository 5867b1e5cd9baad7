"""Who calls, and what may they do? Signed tokens say who; roles say what; a method without a permission is refused."""
