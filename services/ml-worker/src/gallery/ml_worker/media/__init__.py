"""From any accepted file to what is shown and looked at: one decode, everything derived from it."""
