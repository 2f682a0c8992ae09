"""Tell backends over HTTP what happens: the stream of events, POSTed to every endpoint that wants it.

A worker is a process of its own, and there may be any number: each endpoint is one worker's at a time, and
its place in the stream is a record in a bucket, so that another one goes on where one has died. What the
events are is docs/webhooks.md; what writes them is `presence`.
"""
