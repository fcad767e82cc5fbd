"""An environment in which every database of ours is opened with synchronous=NORMAL: the control of the power campaign.

Python imports this at its start where this folder and the checkout are in PYTHONPATH. The product has no switch for it.
"""

import security.durable_sqlite as durable

for name in ("DURABLE_PRAGMAS", "BRIEF_PRAGMAS"):
    careful = getattr(durable, name)
    careless = tuple(one.replace("synchronous = FULL", "synchronous = NORMAL") for one in careful)
    assert careless != careful
    setattr(durable, name, careless)
