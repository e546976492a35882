"""Which events may answer which command: data, for the driver tests and the documents.

A command is answered exactly once. An event about a request's end (`RequestFinished`,
`RequestFailed`, `Preempted`) carries its dispatch's id and closes every open command about that
request. `InstanceLost` and `NodeLost` close every open command about what was lost; answers that
are still on their way are legal, and ignored.
"""

from typing import Final

from fleet import commands as c
from fleet import events as e

ANSWERS: Final[dict[type[c.Command], tuple[type[e.Event], ...]]] = {
    c.Dispatch: (e.RequestFinished, e.RequestFailed, e.Preempted, e.CommandFailed),
    c.Reject: (),
    c.Cancel: (e.RequestFailed, e.RequestFinished),
    c.Preempt: (e.Preempted, e.RequestFinished, e.RequestFailed),
    c.Migrate: (e.Migrated, e.RequestFinished, e.RequestFailed, e.Preempted, e.CommandFailed),
    c.StartInstance: (e.InstanceReady, e.CommandFailed, e.InstanceStopped),
    c.StopInstance: (e.InstanceStopped,),
    c.Sleep: (e.Slept, e.CommandFailed),
    c.Wake: (e.Awake, e.CommandFailed, e.InstanceStopped),
    c.AttachAdapter: (e.AdapterAttached, e.CommandFailed, e.InstanceStopped),
    c.DetachAdapter: (e.AdapterDetached, e.CommandFailed, e.InstanceStopped),
    c.Fetch: (e.Fetched, e.CommandFailed),
    c.Drop: (e.Dropped, e.CommandFailed),
    c.SetTimer: (e.TimerFired,),
}
