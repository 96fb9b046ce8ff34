"""Faults that must lose nothing: real processes that die under load, and the count of what arrived nevertheless.

    make test-faults                                                              a short form of each
    make test-faults FAULT_ROUNDS=10                                              each strikes ten times as often
    make test-faults FAULT_SECONDS=600 FAULT_ARGS="-k kafka_away"                 Kafka is away for ten minutes

The scenarios lie in files by what dies. In each a fleet notes what was acknowledged to it, and in the end a reader that
knows nothing of the run reads the topic from its beginning: what was acknowledged and is not there is lost. Copies are
allowed, are counted, and have to carry the id of the first.

They need mosquitto 2.1 or later, from the PATH or, where a Docker engine runs, from its image, beside what Apache Kafka
needs; the one with a full disk needs root, or a sudo that asks nothing.
"""
