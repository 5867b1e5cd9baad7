"""How to get it done: turns signed plans into orders, fills and fair allocations, once."""
