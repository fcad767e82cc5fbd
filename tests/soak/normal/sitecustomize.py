"""An environment in which every database of ours is opened with synchronous=NORMAL: the control of the power campaign.

Python imports this at its start where this folder and the checkout are in PYTHONPATH. The product has no switch for it.
"""

import security.durable_sqlite as durable

careless = tuple(one.replace("synchronous = FULL", "synchronous = NORMAL") for one in durable.DURABLE_PRAGMAS)
assert careless != durable.DURABLE_PRAGMAS
setattr(durable, "DURABLE_PRAGMAS", careless)  # noqa: B010 - the type says how many there are, and which
