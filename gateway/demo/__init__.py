"""`backstay demo`: the main job end to end, over real sockets, with a verdict."""
