"""Fields of suites: each with values of wrong types, and with values of the right type that cannot be."""

from case import ACCEPTED, EITHER, REFUSED
from suites import (
    ATTACK,
    BOUND,
    CORRUPTION,
    DATA,
    ESCAPE,
    HEAD,
    LEFT_OPEN,
    MODEL,
    NOT_THE_SUITE,
    PATCH,
    SMOOTHING,
    STACKED,
    edited,
    suite,
)

# What no field takes, and how it is called.
WRONG = [
    ("text", '"a"'),
    ("truth", "true"),
    ("list", '["a", 1]'),
    ("table", "{ a = 1 }"),
    ("date", "1979-05-27"),
    ("negative", "-1"),
    ("nan", "nan"),
    ("infinite", "-inf"),
    ("huge", "1e999"),
]


def fields():
    """Each field with wrong values. What comes behind its name are values of WRONG that it takes."""
    sections = [
        (
            HEAD.replace('name = "s"', "NAME"),
            "",
            MODEL + DATA + ATTACK,
            {
                "name": ["text"],
                "seed": [],
                "rng": [],
                "batch": [],
                "memory": [],
                "device": [],
                "precision": [],
                "save_adversarial": ["truth"],
                "skip_missing": ["truth"],
            },
        ),
        (
            HEAD,
            "[[model]]\n",
            DATA + ATTACK,
            {
                "path": [],
                "members": [],
                "average": [],
                "name": ["text"],
                "arch": [],
                "onnx": [],
                "probabilities": ["truth"],
                "published": [],
                "eps": [],
                "data": [],
            },
        ),
        (HEAD + MODEL, "[[data]]\n", ATTACK, {"spec": [], "name": ["text"], "images": []}),
        (
            HEAD + MODEL + DATA,
            "[[attack]]\n",
            "",
            {
                "attack": [],
                "label": ["text"],
                "norm": [],
                "eps": [],
                "patch": [],
                "goal": [],
                "parameters": [],
                "models": [],
            },
        ),
        (
            HEAD + MODEL + DATA,
            "[[certificate]]\n",
            "",
            {
                "certificate": [],
                "label": ["text"],
                "sigma": [],
                "noise": [],
                "mode": [],
                "norm": [],
                "parameters": [],
                "n0": [],
                "n": [],
                "alpha": [],
                "radii": [],
                "models": [],
            },
        ),
        (
            HEAD + MODEL + DATA,
            "[[corruption]]\n",
            "",
            {"folder": [], "label": ["text"], "preprocessing": [], "ids": [], "first": [], "only": [], "baseline": []},
        ),
    ]
    given = {
        "[[model]]\n": {"path": '"bundled:digits-pgd"'},
        "[[data]]\n": {"spec": '"digits:test"'},
        "[[attack]]\n": {"attack": '"fgsm"', "norm": '"Linf"', "eps": "0.1"},
        "[[certificate]]\n": {"certificate": '"cohen"', "sigma": "0.25", "n0": "10", "n": "100"},
        "[[corruption]]\n": {"folder": '"C"', "only": '["fog"]'},
    }
    for before, section, behind, known in sections:
        for field, right in known.items():
            for kind, wrong in WRONG:
                values = {**given.get(section, {}), field: wrong}
                text = "".join(f"{key} = {value}\n" for key, value in values.items())
                if not section:
                    text = text if field == "name" else 'name = "s"\n' + text
                    whole = text + behind
                else:
                    whole = before + section + text + behind
                title = (section.strip("[]\n") or "suite") + f"-{field}-{kind}"
                wanted = EITHER if title in LEFT_OPEN else ACCEPTED if kind in right else REFUSED
                yield suite(f"field-{title}", whole, wanted, "" if title in NOT_THE_SUITE else "suite.toml", **STACKED)


def values():
    """Values of the right type that cannot be."""
    attack = lambda **changes: HEAD + MODEL + DATA + edited(ATTACK, **changes)
    for name, eps in (
        ("zero", "0"),
        ("fraction", '"8/0"'),
        ("negative-fraction", '"-8/255"'),
        ("words", '"eight"'),
        ("three-parts", '"1/2/3"'),
        ("empty", "[]"),
        ("empty-text", '""'),
        ("twice", "[0.1, 0.1]"),
        ("with-zero", "[0.1, 0]"),
        ("tiny", "1e-300"),
        ("large", "1e300"),
        ("whole-box", "1.5"),
        ("nested", "[[0.1]]"),
        ("percent", '"8%"'),
        ("escapes", f'"{ESCAPE}"'),
        ("hex", '"0x1p-3"'),
        ("i64", str(-(2**63))),
        ("percent-list", '["8/255", true]'),
    ):
        yield f"eps-{name}", attack(eps=eps)
    yield "eps-hundred-thousand", attack(
        eps="[" + ", ".join(f"{i / 1e6}" for i in range(1, 2)) + ", 0.1" * 100_000 + "]"
    )
    for name, value in (
        ("unknown", '"fgms"'),
        ("none", '"none"'),
        ("path", '"../pgd"'),
        ("escapes", f'"{ESCAPE}"'),
        ("empty", '""'),
        ("long", '"' + "p" * 1_000_000 + '"'),
    ):
        yield f"attack-{name}", attack(attack=value)
    for name, value in (("unknown", '"L3"'), ("case", '"linf"'), ("escapes", f'"{ESCAPE}"')):
        yield f"norm-{name}", attack(norm=value)
    for name, value in (
        ("class", '"10"'),
        ("unknown", '"up"'),
        ("negative", '"-1"'),
        ("huge", '"99999999999999999999"'),
    ):
        yield f"goal-{name}", attack(goal=value)
    for name, value in (
        ("patch-and-norm", '"2x2"'),
        ("zero", '"0x0"'),
        ("large", '"99x99"'),
        ("percent", '"0%"'),
        ("percent-large", '"200%"'),
        ("nan", '"nan%"'),
        ("huge", '"99999999999999999999x1"'),
    ):
        yield f"patch-{name}", (
            attack(patch=value)
            if name == "patch-and-norm"
            else HEAD + MODEL + DATA + f'[[attack]]\nattack = "roa"\npatch = {value}\n'
        )
    for name, value in (
        ("unknown", "{ stepps = 3 }"),
        ("zero", "{ steps = 0 }"),
        ("negative", "{ steps = -1 }"),
        ("huge", "{ steps = 99999999999999999 }"),
        ("text", '{ steps = "many" }'),
        ("nan", "{ alpha = nan }"),
        ("infinite", "{ alpha = inf }"),
        ("table", "{ steps = { a = 1 } }"),
        ("list", "{ steps = [1, 2] }"),
        ("date", "{ steps = 1979-05-27 }"),
        ("restarts", "{ restarts = 99999999999999999 }"),
        ("escapes", f'{{ "{ESCAPE}" = 1 }}'),
    ):
        yield f"parameter-{name}", HEAD + MODEL + DATA + edited(ATTACK, attack='"pgd"', parameters=value)
    smoothing = lambda **changes: HEAD + MODEL + DATA + edited(SMOOTHING, **changes)
    for name, changes in (
        ("sigma-zero", {"sigma": "0"}),
        ("sigma-missing", {"sigma": None}),
        ("n-zero", {"n": "0"}),
        ("n-small", {"n": "9"}),
        ("n-huge", {"n": str(2**63 - 1)}),
        ("n0-zero", {"n0": "0"}),
        ("n0-huge", {"n0": str(2**63 - 1)}),
        ("alpha-zero", {"alpha": "0.0"}),
        ("alpha-one", {"alpha": "1.0"}),
        ("alpha-tiny", {"alpha": "1e-320"}),
        ("radii-negative", {"radii": "[-1.0]"}),
        ("radii-nan", {"radii": "[nan]"}),
        ("radii-infinite", {"radii": "[inf]"}),
        ("noise", {"noise": '"pink"'}),
        ("mode", {"mode": '"slow"'}),
        ("norm", {"norm": '"L2"', "noise": '"laplace"'}),
        ("levels", {"noise": '"lattice"', "parameters": "{ levels = 0 }"}),
        ("levels-huge", {"noise": '"lattice"', "sigma": "0.5", "parameters": f"{{ levels = {2**62} }}"}),
        ("pixels", {"noise": '"ablation"', "sigma": None, "parameters": "{ k = 99 }"}),
        ("pixels-none", {"noise": '"ablation"', "sigma": None, "parameters": "{ k = 0 }"}),
        ("correction", {"parameters": '{ correction = "holm" }'}),
        ("steps", {"steps": "3"}),
        ("patch", {"patch": '"2x2"'}),
        ("eps", {"eps": "0.1"}),
        ("unknown", {"certificate": '"cohn"'}),
    ):
        yield f"smoothing-{name}", smoothing(**changes)
    bound = lambda **changes: HEAD + MODEL + DATA + edited(BOUND, **changes)
    for name, changes in (
        ("norm-missing", {"norm": None}),
        ("norm-l1", {"norm": '"L1"'}),
        ("eps-missing", {"eps": None}),
        ("eps-zero", {"eps": "0"}),
        ("steps-negative", {"steps": "-1"}),
        ("steps-huge", {"steps": str(2**32)}),
        ("steps-absurd", {"steps": "4000000000"}),
        ("sigma", {"sigma": "0.1"}),
        ("parameters", {"parameters": "{ a = 1 }"}),
        ("radii", {"radii": "[0.1]"}),
    ):
        yield f"bound-{name}", bound(**changes)
    patch = lambda **changes: HEAD + MODEL + DATA + edited(PATCH, **changes)
    for name, changes in (
        ("missing", {"patch": None}),
        ("zero", {"patch": '"0"'}),
        ("large", {"patch": '"9x9"'}),
        ("twice", {"patch": '["2x2", "2"]'}),
        ("k-zero", {"parameters": "{ k = 0 }"}),
        ("k-huge", {"parameters": f"{{ k = {2**62} }}"}),
        ("fill", {"parameters": "{ fill = 7 }"}),
        ("size", {"certificate": '"column-smoothing"', "parameters": "{ size = 99 }"}),
        ("stride", {"certificate": '"row-smoothing"', "parameters": "{ stride = 0 }"}),
        ("threshold", {"certificate": '"block-smoothing"', "parameters": "{ threshold = nan }"}),
        ("norm", {"norm": '"Linf"'}),
        ("number", {"patch": "2.5"}),
        ("list", {"patch": "[]"}),
    ):
        yield f"patches-{name}", patch(**changes)
    corruption = lambda **changes: HEAD + MODEL + DATA + edited(CORRUPTION, **changes)
    for name, changes in (
        ("missing", {"folder": '"nowhere"'}),
        ("unknown", {"only": '["fgo"]'}),
        ("path", {"only": '["../fog"]'}),
        ("empty-name", {"only": '[""]'}),
        ("preprocessing", {"preprocessing": '"Res224"'}),
        ("ids", {"ids": '"ids.txt"'}),
        ("first-many", {"first": "6"}),
        ("first-none", {"first": "0"}),
        ("baseline", {"baseline": '"nobody"'}),
        ("specification", {"folder": '"cifar-c:C,fog,1"'}),
        ("a-file", {"folder": '"suite.toml"'}),
        ("eps", {"eps": "0.1"}),
    ):
        yield f"corruption-{name}", corruption(**changes)


def cases():
    yield from fields()
    for name, text in values():
        wanted = EITHER if name in LEFT_OPEN else REFUSED
        yield suite(f"value-{name}", text, wanted, "" if name in NOT_THE_SUITE else "suite.toml", **STACKED)
