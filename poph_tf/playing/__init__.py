"""Playing together with a person: live over MIDI ports, or through a folder.

`session.py` decides what sounds, as a function of times and messages; only `ports.py`
deals with real time and real ports. Positions are in steps (sixteenths) since the start
of the song; times are in seconds of any monotonic clock.
"""
