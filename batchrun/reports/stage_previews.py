"""What a run of a job of stages would do: found by taking its rows into a copy of the checkpoint, which is thrown away.

So it is the very code of a run that decides what is new, what stays and what is asked anew. Rows that follow from others
which have yet to end are not known; of some it can be said how many there are at most.
"""

from __future__ import annotations
