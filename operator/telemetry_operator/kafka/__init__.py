"""Kafka as the operator sees it: one admin client for the groups of all TelemetryConsumers.

How it is used
--------------
``Observer`` is started once and told, by `telemetry_operator.groups`, which readings are wanted. A reconcile asks it
what is known (``look``), which never waits for Kafka, and is told of news by being queued.

With ``Reading.start_from`` the starting offsets of a group that has none are committed in the pass that first sees it,
without a call. Kafka forgets the offsets of a group that was empty for long (``offsets.retention.minutes``), so for one
that has begun `telemetry_operator.start` says ``earliest``, whatever the spec has.

A reset (``ask_reset``) is a task of its own: its end is news, too. OffsetsRefused says why nothing was changed; what
may pass (KafkaAway, members that Kafka still counts) is to be asked for again with the same token: nothing is done
twice.

The rooms
---------
Pure: ``facts`` (the values), ``lag``, ``drain`` (slope and time), ``sharing`` (who shares a group, how many can),
``targets`` (where offsets are to go), ``letters`` (counting dead letters), ``settings``, ``errors``.
With a client: ``client`` (the admin client), ``tail`` (dead-letter topics, read on), ``offsets`` (starts and resets),
``survey`` (one pass), ``observer`` (passes beside the event loop), ``explain``, ``metrics``.
"""
