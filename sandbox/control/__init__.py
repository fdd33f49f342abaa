"""The control side, under /sandbox: tests send messages, read what happened, and make calls fail.

Not the provider's, and without credentials: for this machine alone. All is JSON; bad input is
answered 400 `{"error": …}`.

    POST   /messages        sends the body; 202 {"id"}. Query: version=v1|v2|v3, account=…, as_given=1
                            (no login put in), wait=1 (200 and the delivery, when it has ended),
                            lose=1 (it is lost on purpose)
    GET    /deliveries      {"deliveries", "counts"}. Query: id=N for one alone, after=N, result=…, upgrade=ID
    GET    /requests        {"requests"}: the calls of the API. Query: after=N
    GET    /registrations   {"registrations", "history"}
    PUT    /registrations/VERSION/ACCOUNT   {"url", "username"?, "password"?}, as another owner would
    DELETE /registrations/VERSION/ACCOUNT   {"removed"}
    GET    /faults          {"faults", "shapes"}: those still to come, and the shapes that have names
    POST   /faults          adds one: see `sandbox.faults.Fault`; 201
    DELETE /faults          forgets them all
    GET    /losses          {"lose", "of", "seed"}: which of all messages are lost on purpose
    PUT    /losses          of every `of` messages from now on lose `lose`, chosen by `seed`; {} loses none
    POST   /campaigns       upgrades: see `sandbox.campaigns.requests.CampaignRequest`; 201
    GET    /campaigns       {"campaigns"}: the requests so far, and what became of their callbacks
    GET    /campaigns/NUMBER/upgrades       {"upgrades"}: the ids, at most a thousand. Query: after=N
    DELETE /campaigns       forgets them all
    GET    /options         {"options", "choices"}: see `sandbox.reports.options.ReportOptions`
    PUT    /options         changes some of them
    DELETE /options         back to those of the start
    GET    /account         {"locked", "failed_logins", "live_sessions"}
    POST   /unlock          what Verizon Support does
"""

from sandbox.control import campaigns, views
from sandbox.control.blueprint import control
from sandbox.control.index import index

__all__ = ["campaigns", "control", "index", "views"]
