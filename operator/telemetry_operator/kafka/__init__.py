"""Kafka as the operator sees it: one admin client for the groups of all TelemetryConsumers.

What wires it in
----------------
At the start::

    observer = Observer(load_kafka_settings(environment), on_news=queue_their_reconciles)
    observer.start()                     # and `await observer.stop()` at the end

Whenever TelemetryConsumers come, change or go (the periodic pass will do, and each reconcile of a new one)::

    observer.watch(readings.values())    # {Key: Reading}, of those on the operator's own Kafka

    Reading(group=consumer.group_id, topics=frozenset(spec.topics), dead_letter_topic=consumer.dead_letter_topic,
            start_from=parse_start(spec.start_from))

With ``start_from`` the starting offsets of a new group are committed in the pass that first sees it, without a call.
Leave it out as soon as the status has noted ``facts.has_begun``: Kafka forgets the offsets of a group that was empty
for long (``offsets.retention.minutes``, a week by default), and beginning anew would skip or repeat what came since.

In a reconcile, which never waits for Kafka::

    look = observer.look(reading)        # facts no older than a minute, and why there are none, or no newer
    status: partitions, lag, lagObservedAt = facts.observed_at, drainSeconds, deadLettered
    ReplicasExceedPartitions             sharing.count_spare_replicas(replicas, facts)
    ConsumerGroupConflict                sharing.find_rivals(readings), sharing.find_strangers(facts, pod names)
    autoscaling's maximum                sharing.cap_replicas(maxReplicas, facts)
    Degraded                             facts.lag_slope > 0, facts.dead_letters.count: hysteresis is the status's
    a missing topic, Kafka away          facts.missing_topics, look.trouble (reason, message, since)

For an annotation that asks for a reset, once the group is paused and its pods are gone::

    reset = await observer.reset_offsets(reading, parse_target(text), token)

in a task of its own, not in the reconcile. ``token`` is the annotation's value or a hash of it: the same reset again is
done once. OffsetsRefused says why nothing was changed; KafkaAway is to be tried again.

The rooms
---------
Pure: ``facts`` (the values), ``lag``, ``drain`` (slope and time), ``sharing`` (who shares a group, how many can),
``targets`` (where offsets are to go), ``letters`` (counting dead letters), ``settings``, ``errors``.
With a client: ``client`` (the admin client), ``tail`` (dead-letter topics, read on), ``offsets`` (starts and resets),
``survey`` (one pass), ``observer`` (passes beside the event loop), ``explain``, ``metrics``.
"""
