"""Playing with somebody: through MIDI ports in time, or through a folder.

`session.py` decides what sounds, as a function of times and messages; `ports.py` is
where real time and real ports come in. Positions are counted in steps (sixteenths)
since the start of the song; times are in seconds of any clock that only goes on.
"""
