"""Where are orders executed? One package per venue, each behind `VenuePort`."""
