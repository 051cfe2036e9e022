"""ostinato: music by masked acoustic token modeling."""
