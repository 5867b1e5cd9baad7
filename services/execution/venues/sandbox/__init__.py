"""A venue that trades no real money: fills orders against given prices, repeatably, and misbehaves on request."""
