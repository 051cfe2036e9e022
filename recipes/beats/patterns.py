"""What the styles play: grooves and fills as step patterns, riffs, tempi and instruments; x loud, o soft, ? maybe."""

from dataclasses import dataclass

KITS = (0, 0, 8, 16, 24, 25, 32, 40)

GROOVES: dict[str, dict[str, str]] = {
    "rock": {"kick": "x.....?.x.?.....", "snare": "....x.......x...", "hat": "x.o.x.o.x.o.x.o."},
    "rock 2": {"kick": "x.?...x...x..?..", "snare": "....x..?....x..?", "hat": "x.o.x.o.x.o.x.o."},
    "rock 3": {"kick": "x.x...?.x.x...?.", "snare": "....x.......x.?.", "hat": "x...x...x...x..."},
    "heavy": {"kick": "x.xx..x.x.xx..x.", "snare": "....x.......x...", "hat": "x...x...x...x..."},
    "double": {"kick": "oooooooooooooooo", "snare": "....x.......x...", "hat": "x...x...x...x..."},
    "double 8": {"kick": "o.o.o.o.o.o.o.o.", "snare": "....x.......x...", "hat": "x.o.x.o.x.o.x.o."},
    "double half": {"kick": "oooooooooooooooo", "snare": "........x.......", "hat": "x...x...x...x..."},
    "burst": {"kick": "oooo..x.oooo..x.", "snare": "....x.......x...", "hat": "x...x...x...x..."},
    "gallop": {"kick": "x.oox.oox.oox.oo", "snare": "....x.......x...", "hat": "x...x...x...x..."},
    "skank": {"kick": "x...x...x...x...", "snare": "..x...x...x...x.", "hat": "x.o.x.o.x.o.x.o."},
    "skank 2": {"kick": "x..ox...x..ox...", "snare": "..x...x...x...x.", "hat": "x...x...x...x..."},
    "blast": {"kick": "x.x.x.x.x.x.x.x.", "snare": ".x.x.x.x.x.x.x.x", "hat": "x.x.x.x.x.x.x.x."},
    "hammer": {"kick": "x.x.x.x.x.x.x.x.", "snare": "x.x.x.x.x.x.x.x.", "hat": "x...x...x...x..."},
    "bomb": {"kick": "oooooooooooooooo", "snare": "x...x...x...x...", "hat": "x...x...x...x..."},
    "d-beat": {"kick": "x.....x...x...?.", "snare": "....x.......x...", "hat": "x.o.x.o.x.o.x.o."},
    "half time": {"kick": "x.?...?...?..?..", "snare": "........x.......", "hat": "x...x...x...x..."},
    "groove": {"kick": "x...............", "snare": "....x.......x...", "hat": "x...x...x...x..."},
    "breakdown": {"kick": "x...............", "snare": "........x.......", "hat": "x...x...x...x..."},
    "toms": {"low tom": "x.o.x.o.x.o.x.o.", "kick": "x...x...x...x...", "mid tom": "......x.......x."},
    "four": {"kick": "x...x...x...x...", "clap": "....x.......x...", "open": "..x...x...x...x."},
    "four 2": {"kick": "x...x...x...x...", "snare": "............x...", "hat": "o.xoo.xoo.xoo.xo"},
    "four only": {"kick": "x...x...x...x...", "hat": "..x...x...x...x."},
    "disco": {"kick": "x...x...x...x...", "snare": "....x.......x...", "hat": "xoxoxoxoxoxoxoxo"},
    "break": {"kick": "x.x.......x.....", "snare": "....x..o.o..x..o", "hat": "x.o.x.o.x.o.x.o."},
    "jungle": {"kick": "x.........x.....", "snare": "....x.......x..?", "hat": "x.o.x.o.x.o.x.o."},
    "trap": {"kick": "x.....?..?.x....", "clap": "........x.......", "hat": "xoxoxoxoxoxoxoxo"},
    "boom": {"kick": "x......x..x.....", "snare": "....x.......x...", "hat": "x.o.x.o.x.o.x.o."},
    "funk": {"kick": "x..?..x...x..?..", "snare": "....x..o.o..x..?", "hat": "xoxoxoxoxoxoxoxo"},
    "bossa": {"kick": "x..ox..ox..ox..o", "rim": "x..x..x...x..x..", "hat": "o.o.o.o.o.o.o.o."},
    "salsa": {
        "clave": "x..x..x...x.x...",
        "cowbell": "x...x.x.x...x.x.",
        "conga": "..o.x.....o.x...",
        "low conga": "......xx......xx",
    },
    "samba": {"kick": "x..xx..xx..xx..x", "shaker": "xooxxooxxooxxoox", "snare": "x..o.o.x..o.o.x."},
    "reggae": {"kick": "........x.......", "rim": "........x.......", "hat": "..x...x...x...x."},
    "train": {"kick": "x...x...x...x...", "snare": "ooxooxxoooxooxxo"},
    "march": {"kick": "x.......x.......", "snare": "x...x.xxx...x.xx"},
    "ballad": {"kick": "x.......x.?.....", "rim": "....x.......x...", "hat": "x.o.x.o.x.o.x.o."},
    "waltz": {"kick": "x...........", "snare": "....x...x...", "hat": "x...x...x..."},
    "waltz rock": {"kick": "x.....?.....", "snare": "....x...x...", "hat": "x.o.x.o.x.o."},
    "waltz snare": {"kick": "x...?.......", "snare": "........x...", "hat": "x.o.x.o.x.o."},
    "shaker": {"shaker": "x.o.x.o.x.o.x.o.", "kick": "x.......x......."},
    "shuffle": {"kick": "x.....x.....", "snare": "...x.....x..", "hat": "x.ox.ox.ox.o"},
    "swing": {"ride": "x..x.ox..x.o", "pedal": "...x.....x..", "kick": "?.....?....."},
    "six": {"kick": "x.....", "snare": "...x..", "hat": "xooxoo"},
    "six 2": {"kick": "x....?", "snare": "...x..", "hat": "x.ox.o"},
    "triplets": {"kick": "xooxooxooxoo", "snare": "...x.....x..", "hat": "x..x..x..x.."},
    "none": {},
}

FILLS = {
    4: ("xxxxxxxxxxxxxxxx", "x.x.x.x.xxxxxxxx", "xx.xx.xx", "x.xxx.xx", "x...x...x.x.xxxx", "x.x.", "xxx.", "x..x..x."),
    3: ("xxxxxx", "x.xx.x", "xx.xx.", "x..x.."),
}

RIFFS = {
    "eighths": "x.x.", "sixteenths": "x", "gallop": "x.xx", "reverse gallop": "xxx.", "offbeat": "..x.",
    "tresillo": "x..x..x.", "strum": "x...x.x...x.x.x.", "charleston": "x.....x.........", "triplets": "x",
    "halves": "x.......", "shuffle": "x.x", "oom": "....x...", "pushed": "x.....x.......x.",
    "dotted": "x..x..x..x..x.x.", "stabs": "x..x......x.....", "montuno": "x.xx.xx.xx.xx.x.",
    "arpeggio": "x.", "arpeggio 16": "x", "compound": "xxx",
}  # fmt: skip

HEAVY = ("eighths", "sixteenths", "gallop", "reverse gallop", "groups", "groups", "chug", "chug", "sustain", "halves")
LEADS = (26, 27, 29, 30, 48, 52, 53, 56, 61, 65, 71, 73, 80, 81, 87, 11)


@dataclass(frozen=True)
class Style:
    """One style: tempo range in beats a minute, metres in beats, steps in a beat, and what may be played."""

    tempo: tuple[float, float]
    grooves: tuple[str, ...]
    riffs: tuple[str, ...]
    metres: tuple[int, ...] = (4,)
    split: int = 4
    basses: tuple[str, ...] = ("follow", "eighths", "beats", "pushed")
    keepers: tuple[str, ...] = ("closed", "closed", "open", "ride")
    chords: tuple[int, ...] = (27, 28, 29, 0, 4)
    bass: tuple[int, ...] = (33, 34, 35, 38)
    lead: tuple[int, ...] = LEADS
    kits: tuple[int, ...] = ()
    dirt: tuple[float, float] = (0.0, 0.2)
    swing: tuple[float, float] = (0.0, 0.0)
    loose: float = 0.007
    drift: float = 0.25
    rubato: float = 0.0
    melody: float = 0.6
    fills: float = 0.6
    weight: float = 1.0


METAL = Style(
    tempo=(85, 150),
    grooves=("heavy", "rock", "rock 3", "groove", "groove", "double", "double 8", "half time", "burst", "gallop"),
    riffs=HEAVY,
    basses=("follow", "follow", "follow", "eighths"),
    keepers=("closed", "open", "open", "ride", "bell", "china", "crash"),
    chords=(28, 29, 29, 30, 30),
    bass=(33, 34, 34),
    lead=(29, 30, 30, 48, 52, 53, 81),
    kits=(0, 0, 8, 16, 16),
    dirt=(0.5, 1.0),
    drift=0.12,
    melody=0.35,
    weight=3,
)

STYLES: dict[str, Style] = {
    "metal": METAL,
    "thrash": Style(
        **{
            **vars(METAL),
            "tempo": (150, 215),
            "grooves": (
                *("skank", "skank", "skank 2", "double", "double 8"),
                *("gallop", "d-beat", "rock", "half time", "heavy"),
            ),
            "weight": 3.5,
        }
    ),
    "extreme": Style(
        **{
            **vars(METAL),
            "tempo": (150, 220),
            "grooves": ("blast", "hammer", "bomb", "double", "double", "double half", "skank", "half time", "groove"),
            "riffs": ("sixteenths", "sixteenths", "eighths", "chug", "gallop", "halves", "sustain", "groups"),
            "weight": 3,
        }
    ),
    "breakdown": Style(
        **{
            **vars(METAL),
            "tempo": (100, 200),
            "grooves": ("breakdown", "groove", "half time", "double half", "burst", "toms"),
            "riffs": ("groups", "chug", "chug", "stabs", "halves"),
            "metres": (4, 4, 4, 4, 5, 7, 3),
            "weight": 2,
        }
    ),
    "doom": Style(
        **{**vars(METAL), "tempo": (60, 90), "grooves": ("rock", "rock 2", "heavy", "ballad", "toms"), "weight": 0.7}
    ),
    "metal triplets": Style(
        **{
            **vars(METAL),
            "tempo": (90, 170),
            "split": 3,
            "grooves": ("shuffle", "triplets", "shuffle"),
            "riffs": ("shuffle", "triplets", "groups", "chug", "sustain"),
            "basses": ("follow", "beats"),
            "weight": 0.8,
        }
    ),
    "rock": Style(
        tempo=(90, 180),
        grooves=("rock", "rock 2", "rock 3", "d-beat", "heavy", "half time", "toms"),
        riffs=("eighths", "strum", "sustain", "halves", "groups", "pushed", "offbeat", "arpeggio"),
        chords=(27, 28, 29, 29, 30, 25, 18),
        keepers=("closed", "open", "ride", "crash"),
        dirt=(0.1, 0.8),
        weight=3,
    ),
    "punk": Style(
        tempo=(150, 215),
        grooves=("skank", "d-beat", "rock", "rock 2", "half time"),
        riffs=("eighths", "sustain", "halves", "groups"),
        chords=(29, 30, 27),
        dirt=(0.3, 0.9),
        weight=1.5,
    ),
    "electronic": Style(
        tempo=(110, 150),
        grooves=("four", "four 2", "four only", "disco", "break"),
        riffs=("offbeat", "sixteenths", "groups", "stabs", "sustain", "arpeggio 16", "dotted"),
        chords=(80, 81, 88, 89, 90, 50, 62),
        bass=(38, 39, 87),
        lead=(80, 81, 82, 84),
        kits=(24, 25, 25),
        loose=0.001,
        drift=0.0,
        weight=1.5,
    ),
    "breaks": Style(
        tempo=(160, 180),
        grooves=("jungle", "jungle", "break", "half time"),
        riffs=("sustain", "halves", "stabs", "arpeggio 16", "groups"),
        chords=(81, 88, 89, 4, 50),
        bass=(38, 39, 87),
        kits=(24, 25, 0),
        loose=0.003,
        drift=0.0,
    ),
    "hip hop": Style(
        tempo=(75, 150),
        grooves=("boom", "trap", "break"),
        riffs=("sustain", "stabs", "halves", "arpeggio", "pushed"),
        chords=(4, 5, 0, 48, 89),
        kits=(25, 24, 0),
        swing=(0.0, 0.15),
        drift=0.0,
    ),
    "funk": Style(
        tempo=(90, 125),
        grooves=("funk", "break", "disco", "rock 2"),
        riffs=("sixteenths", "groups", "stabs", "offbeat", "montuno"),
        basses=("groups", "groups", "pushed", "walk"),
        chords=(27, 28, 4, 7, 16),
        swing=(0.0, 0.12),
    ),
    "pop": Style(
        tempo=(80, 140),
        grooves=("rock", "disco", "ballad", "boom", "four", "shaker"),
        riffs=("strum", "sustain", "eighths", "arpeggio", "halves", "pushed", "beats"),
        chords=(0, 24, 25, 27, 4, 89),
        weight=1.5,
    ),
    "latin": Style(
        tempo=(85, 200),
        grooves=("bossa", "salsa", "samba", "salsa"),
        riffs=("montuno", "charleston", "stabs", "tresillo", "strum"),
        basses=("tresillo", "tresillo", "pushed"),
        chords=(0, 24, 25, 4),
        bass=(32, 33),
    ),
    "reggae": Style(
        tempo=(65, 150),
        grooves=("reggae", "ballad", "four only"),
        riffs=("offbeat", "oom"),
        basses=("groups", "pushed", "beats"),
        chords=(16, 27, 0),
        weight=0.7,
    ),
    "folk": Style(
        tempo=(85, 200),
        grooves=("train", "march", "none", "shaker", "ballad"),
        riffs=("strum", "oom", "beats", "arpeggio", "eighths"),
        basses=("beats", "halves"),
        chords=(24, 25, 21, 0, 105),
        lead=(40, 73, 21, 71, 22),
        bass=(32, 33),
        metres=(4, 4, 3),
    ),
    "waltz": Style(
        tempo=(80, 190),
        grooves=("waltz", "waltz rock", "waltz snare", "none"),
        riffs=("oom", "beats", "sustain", "arpeggio", "eighths"),
        basses=("halves", "beats", "sustain"),
        chords=(0, 24, 27, 29, 48),
        metres=(3,),
        drift=0.4,
        rubato=0.03,
        weight=1.5,
    ),
    "six eight": Style(
        tempo=(50, 110),
        grooves=("six", "six 2", "none"),
        riffs=("compound", "shuffle", "sustain", "beats"),
        basses=("beats", "shuffle"),
        chords=(0, 24, 27, 29, 25),
        metres=(2, 4),
        split=3,
        weight=1.5,
    ),
    "shuffle": Style(
        tempo=(80, 170),
        grooves=("shuffle", "shuffle", "swing"),
        riffs=("shuffle", "beats", "sustain", "groups"),
        basses=("walk", "beats", "shuffle"),
        chords=(27, 29, 0, 16),
        split=3,
        dirt=(0.0, 0.5),
    ),
    "swing": Style(
        tempo=(90, 210),
        grooves=("swing",),
        riffs=("groups", "sustain", "beats"),
        basses=("beats", "walk"),
        chords=(0, 26, 4),
        bass=(32,),
        lead=(56, 65, 66, 71, 11),
        kits=(32, 40, 0),
        split=3,
    ),
    "ambient": Style(
        tempo=(60, 110),
        grooves=("none", "none", "shaker", "ballad"),
        riffs=("sustain", "arpeggio", "arpeggio 16", "halves", "dotted"),
        basses=("halves", "sustain", "beats"),
        chords=(88, 89, 91, 48, 0, 11),
        drift=0.5,
        rubato=0.03,
        melody=0.8,
        weight=1.2,
    ),
    "chamber": Style(
        tempo=(60, 150),
        grooves=("none",),
        riffs=("beats", "eighths", "arpeggio", "oom", "halves"),
        basses=("beats", "halves", "eighths"),
        chords=(0, 6, 45, 46, 48, 49),
        bass=(42, 43, 32),
        lead=(40, 68, 71, 73, 56),
        metres=(4, 3, 2),
        drift=0.6,
        rubato=0.05,
        melody=0.9,
    ),
}  # fmt: skip
