"""TelemetryConsumers that are wrong, with what is said to each, and some that are right.

Whoever judges them, a real API server or `iothub check`, is held to the same tables.
"""

from __future__ import annotations

from typing import Any

CODE = {"name": "code", "key": "handler.py"}

SASL = {"securityProtocol": "SASL_SSL", "saslMechanism": "SCRAM-SHA-512", "secretRef": {"name": "my-kafka"}}
AFFINITY: dict[str, Any] = {
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]},
                    {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]},
                ]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "preference": {"matchExpressions": [{"key": "cpus", "operator": "Gt", "values": ["4"]}]}}
            ],
        },
        "podAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 100,
                    "podAffinityTerm": {
                        "topologyKey": "topology.kubernetes.io/zone",
                        "labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
                    },
                }
            ]
        },
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": {"app": "noisy"}},
                    "namespaces": ["other"],
                }
            ]
        },
    },
    "topologySpreadConstraints": [
        {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    ],
}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no topics": ({"topics": None}, "spec.topics: Required value"),
    "an empty list of topics": ({"topics": []}, "spec.topics in body should have at least 1 items"),
    "too many topics": ({"topics": [f"t{n}" for n in range(33)]}, "must have at most 32 items"),
    "a topic twice": ({"topics": ["a", "a"]}, 'spec.topics[1]: Duplicate value: "a"'),
    "a pattern for a topic": ({"topics": ["telemetry.*"]}, "write each topic by its full name"),
    "no handler": ({"handler": None}, "spec.handler: Required value"),
    "an empty handler": ({"handler": {}}, "write which handler: name: logger for a built-in one"),
    "a handler named twice": (
        {"handler": {"name": "logger", "class": "a:B"}},
        "write either name, for a built-in handler, or class (with or without configMap)",
    ),
    "a misspelt built-in handler": (
        {"handler": {"name": "loger"}},
        "the built-in handlers are logger and validator: write one of them, or class: package.module:Class",
    ),
    "a class without its module": (
        {"handler": {"class": "MyHandler"}},
        "class: write package.module:Class, for example my_package.my_module:MyHandler",
    ),
    "a ConfigMap without a class": (
        {"handler": {"configMap": CODE}},
        "write class beside configMap: the name of the handler's class in that Python file",
    ),
    "a ConfigMap and a module": (
        {"handler": {"configMap": CODE, "class": "a.b:C"}},
        "class: with configMap write the class's name alone",
    ),
    "a key that is no Python file": (
        {"handler": {"configMap": {"name": "code", "key": "handler.txt"}, "class": "C"}},
        "write a key that names a Python file, for example handler.py",
    ),
    "the validator with decoded JSON": (
        {"handler": {"name": "validator"}},
        "decodeJson: the built-in handler validator checks the bytes as they arrived: write decodeJson: false",
    ),
    "the validator fed its own output": (
        {"handler": {"name": "validator"}, "decodeJson": False, "topics": ["telemetry.clean"]},
        "the validator's output topic is telemetry.clean, so it would be fed its own output for ever",
    ),
    "an output that is also a topic": (
        {"topics": ["a"], "output": {"topic": "a"}, "handler": {"class": "a:B"}},
        "output.topic: a is also in topics, so the handler would be fed its own output for ever",
    ),
    "an output of a handler that produces nothing": (
        {"output": {"topic": "out"}},
        "output: the built-in handler logger produces nothing: leave output out",
    ),
    "dead letters consumed again": (
        {"topics": ["telemetry.raw", "telemetry.dlq"]},
        "deadLetter.topic: telemetry.dlq is also in topics, so dead letters would be consumed again",
    ),
    "dead letters turned off and on": (
        {"deadLetter": {"enabled": False, "topic": "x"}},
        "write either topic: NAME or enabled: false, not both",
    ),
    "a dead-letter topic that Kafka can't have": ({"deadLetter": {"topic": "a b"}}, "write one such as telemetry.dlq"),
    "a group id with blanks around it": ({"groupId": " raw "}, "write a group id of printable ASCII characters"),
    "too many replicas": ({"replicas": 1001}, "should be less than or equal to 1000"),
    "fewer replicas than none": ({"replicas": -1}, "should be greater than or equal to 0"),
    "replicas in words": ({"replicas": "three"}, "must be of type integer"),
    "an empty batch": ({"batch": {"maxSize": 0}}, "should be greater than or equal to 1"),
    "a batch that ends before it begins": (
        {"batch": {"timeoutSeconds": 0.001}},
        "write the seconds that a batch may wait for its next message, from 0.01 to 60, for example 1",
    ),
    "a batch that does not wait at all": (
        {"batch": {"timeoutSeconds": 0}},
        "write the seconds that a batch may wait for its next message, from 0.01 to 60, for example 1",
    ),
    "a batch from yesterday": ({"batch": {"timeoutSeconds": -1}}, "should be greater than or equal to 0"),
    "a batch that never comes": ({"batch": {"timeoutSeconds": 61}}, "should be less than or equal to 60"),
    "an unknown delivery": (
        {"delivery": "at-most-once"},
        "write at-least-once (a crash may repeat messages) or exactly-once",
    ),
    "a transaction that a timer commits": (
        {"delivery": "exactly-once", "commit": "auto"},
        "delivery: with exactly-once the transaction commits, not a timer: write commit: manual",
    ),
    "a handler without any time": ({"handleLimitSeconds": 0}, "should be greater than or equal to 1"),
    "a handler with more than a day": ({"handleLimitSeconds": 86401}, "should be less than or equal to 86400"),
    "an unknown way to commit": ({"commit": "sometimes"}, "write manual (commits after each batch) or auto"),
    "a place to start from in words": (
        {"startFrom": "yesterday"},
        "write earliest, latest, or a time with its zone, for example 2026-02-20T22:45:00Z",
    ),
    "a time without a zone": ({"startFrom": "2026-02-20T22:45:00"}, "write earliest, latest, or a time with its zone"),
    "no attempt at all": ({"maxAttempts": 0}, "should be greater than or equal to 1"),
    "an image with a blank": ({"image": "my image"}, "write an image's reference without blanks"),
    "a variable that the operator sets": (
        {"env": [{"name": "KAFKA_GROUP_ID", "value": "x"}]},
        "write the field of the spec in place of the variable, for example groupId or batch",
    ),
    "a variable that can't be one": ({"env": [{"name": "a-b", "value": "x"}]}, "letters, digits and '_' only"),
    "a variable with two values": (
        {"env": [{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
        "write either value or valueFrom, not both",
    ),
    "a variable from nowhere": (
        {"env": [{"name": "A", "valueFrom": {}}]},
        "exactly one of secretKeyRef and configMapKeyRef",
    ),
    "a variable twice": ({"env": [{"name": "A"}, {"name": "A"}]}, "spec.env[1]: Duplicate value"),
    "variables from nowhere": (
        {"envFrom": [{"prefix": "A_"}]},
        "write exactly one of secretRef and configMapRef in each item, for example secretRef: {name: my-secret}",
    ),
    "variables from two places": (
        {"envFrom": [{"secretRef": {"name": "s"}, "configMapRef": {"name": "c"}}]},
        "write exactly one of secretRef and configMapRef in each item",
    ),
    "a prefix that no variable can have": (
        {"envFrom": [{"prefix": "a-", "secretRef": {"name": "s"}}]},
        "a prefix of variables holds letters, digits and '_' only",
    ),
    "a volume of nothing": (
        {"volumes": [{"name": "a", "mountPath": "/a"}]},
        "write exactly one of secret: {secretName: …}, configMap: {name: …} and persistentVolumeClaim: {claimName: …}",
    ),
    "a volume of two things": (
        {"volumes": [{"name": "a", "mountPath": "/a", "secret": {"secretName": "s"}, "configMap": {"name": "c"}}]},
        "write exactly one of secret: {secretName: …}, configMap: {name: …} and persistentVolumeClaim: {claimName: …}",
    ),
    "a volume of the node": (
        {"volumes": [{"name": "a", "mountPath": "/a", "hostPath": {"path": "/"}}]},
        'unknown field "spec.volumes[0].hostPath"',
    ),
    "a volume with the name of the operator's": (
        {"volumes": [{"name": "tmp", "mountPath": "/a", "secret": {"secretName": "s"}}]},
        "other than tmp, handler and kafka, which are the operator's own",
    ),
    "a volume over the worker's code": (
        {"volumes": [{"name": "a", "mountPath": "/app/workers", "secret": {"secretName": "s"}}]},
        "/app, /tmp, /etc/iot-hub, /dev, /proc and /sys are the worker's and the system's own: write another path",
    ),
    "a volume that climbs": (
        {"volumes": [{"name": "a", "mountPath": "/a/../app", "secret": {"secretName": "s"}}]},
        "write a whole path without a '/' at its end, for example /etc/certificates",
    ),
    "two volumes in one place": (
        {
            "volumes": [
                {"name": "a", "mountPath": "/a", "secret": {"secretName": "s"}},
                {"name": "b", "mountPath": "/a", "configMap": {"name": "c"}},
            ]
        },
        "two volumes have the same mountPath: write another one for each",
    ),
    "a service account that can't be": (
        {"serviceAccountName": "My Account"},
        "write the name of a service account in the same namespace",
    ),
    "a priority class that can't be": ({"priorityClassName": "High"}, "write the name of a PriorityClass"),
    "a spread over nothing": (
        {"topologySpreadConstraints": [{"maxSkew": 1}]},
        "spec.topologySpreadConstraints[0].topologyKey: Required value",
    ),
    "a misspelt operator of an affinity": (
        {
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Is"}]}]
                    }
                }
            }
        },
        'Unsupported value: "Is"',
    ),
    "fewest workers that are more than the most": (
        {"autoscaling": {"minReplicas": 4, "maxReplicas": 3}},
        "which is 6 where it is not written: write a maxReplicas that is not less",
    ),
    "fewest workers that are more than the default": (
        {"autoscaling": {"minReplicas": 7}},
        "which is 6 where it is not written: write a maxReplicas that is not less",
    ),
    "most workers that are none": ({"autoscaling": {"maxReplicas": 0}}, "should be greater than or equal to 1"),
    "too many workers at most": ({"autoscaling": {"maxReplicas": 1001}}, "should be less than or equal to 1000"),
    "a lag of nothing": ({"autoscaling": {"lagThreshold": 0}}, "should be greater than or equal to 1"),
    "a cool-down of days": ({"autoscaling": {"cooldownSeconds": 86400}}, "should be less than or equal to 3600"),
    "a Kafka of which nothing is said": ({"kafka": {}}, "spec.kafka in body should have at least 1 properties"),
    "a broker without its port": (
        {"kafka": {"bootstrapServers": "broker"}},
        "write host:port, several separated by commas without blanks, for example broker-1:9092,broker-2:9092",
    ),
    "a broker with a scheme": ({"kafka": {"bootstrapServers": "kafka://broker:9092"}}, "write host:port, several"),
    "brokers with blanks between them": ({"kafka": {"bootstrapServers": "a:1, b:2"}}, "write host:port, several"),
    "an unknown protocol": ({"kafka": {"securityProtocol": "TLS"}}, "write PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
    "an unknown mechanism": (
        {"kafka": {**SASL, "saslMechanism": "GSSAPI"}},
        "write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    ),
    "SASL without a user": (
        {"kafka": {"securityProtocol": "SASL_SSL", "saslMechanism": "PLAIN"}},
        "SASL needs a mechanism and a user: write saslMechanism, and secretRef with the name of a Secret",
    ),
    "SASL without a mechanism": (
        {"kafka": {"securityProtocol": "SASL_SSL", "secretRef": {"name": "s"}}},
        "SASL needs a mechanism and a user: write saslMechanism, and secretRef with the name of a Secret",
    ),
    "a mechanism without SASL": (
        {"kafka": {"saslMechanism": "PLAIN"}},
        "write securityProtocol: SASL_SSL or SASL_PLAINTEXT beside it, or leave it out",
    ),
    "a Secret for nothing": (
        {"kafka": {"secretRef": {"name": "s"}}},
        "write securityProtocol: SSL, SASL_SSL or SASL_PLAINTEXT beside it, or leave it out",
    ),
    "a Secret that can't be": ({"kafka": {**SASL, "secretRef": {"name": "My Secret"}}}, "write the name of a Secret"),
    "a Secret without its user": (
        {"kafka": {**SASL, "secretRef": {"name": "s", "keys": ["ca.crt"]}}},
        "secretRef.keys: SASL needs a user: write username and password among the keys",
    ),
    "a certificate without its key": (
        {"kafka": {"securityProtocol": "SSL", "secretRef": {"name": "s", "keys": ["tls.crt"]}}},
        "write either both of tls.crt and tls.key or none",
    ),
    "a key that means nothing": (
        {"kafka": {"securityProtocol": "SSL", "secretRef": {"name": "s", "keys": ["ca.pem"]}}},
        "the keys are username, password, ca.crt, tls.crt and tls.key: write those that the Secret has",
    ),
    "a password where everybody reads it": (
        {"kafka": {"properties": {"sasl.password": "secret"}}},
        "passwords and keys don't belong here, where everybody can read them: write secretRef",
    ),
    "a property that has a field": (
        {"kafka": {"properties": {"group.id": "x"}}},
        "write bootstrapServers, securityProtocol, saslMechanism, secretRef or groupId in place of it",
    ),
    "a property that is the worker's": (
        {"kafka": {"properties": {"enable.auto.commit": "true"}}},
        "write commit or delivery in place of them",
    ),
    "a property that is no text": ({"kafka": {"properties": {"a": True}}}, "must be of type string"),
    "memory in words": (
        {"resources": {"limits": {"memory": "lots"}}},
        "spec.resources.limits.memory in body should match",
    ),
    "a toleration with a needless value": (
        {"tolerations": [{"operator": "Exists", "key": "k", "value": "v"}]},
        "a toleration with operator: Exists takes no value",
    ),
    "an annotation of ours": (
        {"podAnnotations": {"telemetry.iot-hub.io/config-hash": "x"}},
        "annotations under telemetry.iot-hub.io/ are the operator's own: write another prefix",
    ),
    "a misspelt field": ({"replica": 3}, 'unknown field "spec.replica"'),
    "misspelt fields, here and there": (
        {"replica": 3, "env": [{"name": "A", "valeu": "x"}], "topics": [{"name": "a"}]},
        'unknown field "spec.env[0].valeu", unknown field "spec.replica", unknown field "spec.topics[0].name"',
    ),
    "half a worker": ({"replicas": 1.5}, "must be of type integer"),
    "a number of workers that no integer holds": ({"replicas": 10**20}, "should be less than or equal to 1000"),
    "true for a text": ({"commit": True}, "must be of type string"),
    "a list for an object": ({"batch": []}, "must be of type object"),
    "a number for an object": ({"handler": 3}, "must be of type object"),
    "numbers for topics": ({"topics": [1, "a", 2.5]}, "must be of type string"),
    "a misspelt operator of a toleration": (
        {"tolerations": [{"operator": "exists"}, {"operator": "Equal", "effect": "NoWay"}]},
        'Unsupported value: "exists": supported values: "Equal", "Exists"',
    ),
    "variables without names": ({"env": [{"value": "x"}, {"value": "y"}]}, "spec.env[1]: Duplicate value: {}"),
    "a variable three times": ({"env": [{"name": "A"}] * 3}, "spec.env[1]: Duplicate value"),
    "a label of a node that is no text": ({"nodeSelector": {"a": 1, "b": "x"}}, "must be of type string"),
    "true for cpu": ({"resources": {"limits": {"cpu": True}}}, "must validate at least one schema (anyOf)"),
    "a group id that is too long": ({"groupId": "g" * 256}, "may not be more than 255 bytes"),
    "texts that must be quoted": ({"resources": {"limits": {"cpu": 'a"\\\n\tä\u00a0\x7f'}}}, "should match"),
    "too many options": (
        {"handler": {"name": "logger", "options": {f"o{n}": n for n in range(65)}}},
        "Too many: 65: must have at most 64 items",
    ),
    "an empty name": ({"imagePullSecrets": [{"name": ""}]}, "should be at least 1 chars long"),
    "several mistakes at once": (
        {"topics": ["a b", "a b"], "replicas": -2, "commit": "now", "maxAttempts": 500, "batch": {"maxSize": 0}},
        "spec.topics[1]: Duplicate value",
    ),
    "mistakes of several rules": (
        {"handler": {"name": "validator", "class": "x"}, "topics": ["telemetry.clean", "telemetry.dlq"]},
        "deadLetter.topic: telemetry.dlq is also in topics",
    ),
    "a long text of many alphabets": ({"podAnnotations": {"a": "x", "é" * 318: "y"}}, "the operator's own"),
}

RIGHT: dict[str, dict[str, Any]] = {
    "the least": {},
    "32 topics": {"topics": [f"telemetry.{n}-x_Y" for n in range(32)]},
    "a class of the image": {"handler": {"class": "a_package.module:A_Class"}},
    "a class at the top": {"handler": {"class": "module:Class"}},
    "a class in a ConfigMap": {
        "handler": {"class": "C", "configMap": CODE, "options": {"limit": 3, "deep": {"a": [1]}}}
    },
    "the validator": {"handler": {"name": "validator"}, "decodeJson": False},
    "the validator with its output": {
        "handler": {"name": "validator"},
        "decodeJson": False,
        "output": {"topic": "telemetry.clean"},
    },
    "no workers": {"replicas": 0},
    "most workers": {"replicas": 1000},
    "one message at a time": {"batch": {"enabled": False}},
    "a long batch": {"batch": {"maxSize": 10000, "timeoutSeconds": 60}},
    "a short batch": {"batch": {"timeoutSeconds": 0.01}},
    "from the end": {"startFrom": "latest"},
    "from a time": {"startFrom": "2026-02-20T22:45:00Z"},
    "from a time elsewhere": {"startFrom": "2026-02-20T22:45:00.123456+05:30"},
    "automatic commits": {"commit": "auto"},
    "exactly once": {"delivery": "exactly-once", "commit": "manual", "handleLimitSeconds": 86400},
    "no dead letters": {"deadLetter": {"enabled": False}},
    "dead letters consumed on purpose": {"topics": ["telemetry.dlq"], "deadLetter": {"enabled": False}},
    "dead letters of its own": {"deadLetter": {"topic": "my.dlq"}},
    "a group id with all kinds of characters": {"groupId": "team a/raw:1"},
    "paused": {"paused": True},
    "Kafka's password from a Secret": {
        "env": [
            {
                "name": "KAFKA_SASL_PASSWORD",
                "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}},
            },
            {"name": "LOG_LEVEL", "value": "DEBUG"},
        ]
    },
    "an image of one's own": {
        "image": "registry.example.com:5000/team/handler@sha256:0000",
        "imagePullSecrets": [{"name": "registry"}],
        "resources": {"requests": {"cpu": 1, "memory": "1.5Gi"}, "limits": {"memory": "2Gi", "nvidia.com/gpu": 1}},
    },
    "where it runs": {
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "edge", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}],
        "podAnnotations": {"prometheus.io/scrape": "true"},
    },
    "whole objects as variables": {
        "envFrom": [{"prefix": "A_", "secretRef": {"name": "s", "optional": True}}, {"configMapRef": {"name": "c"}}]
    },
    "volumes": {
        "volumes": [
            {"name": "a", "mountPath": "/etc/certificates", "secret": {"secretName": "s"}},
            {"name": "b", "mountPath": "/etc/a.b_c-d", "configMap": {"name": "c", "optional": True}},
            {"name": "c", "mountPath": "/data", "persistentVolumeClaim": {"claimName": "p", "readOnly": True}},
        ]
    },
    "who it runs as, and how urgently": {
        "serviceAccountName": "reader.of-buckets",
        "priorityClassName": "system-cluster-critical",
    },
    "beside whom it runs": AFFINITY,
    "autoscaling as it is": {
        "autoscaling": {"minReplicas": 1, "maxReplicas": 6, "lagThreshold": 100, "cooldownSeconds": 300}
    },
    "autoscaling from none to many": {
        "autoscaling": {"minReplicas": 0, "maxReplicas": 1000, "lagThreshold": 1, "cooldownSeconds": 0}
    },
    "another Kafka": {"kafka": {"bootstrapServers": "broker-1.example.com:9092,[fd00::1]:9092"}},
    "another Kafka with a user": {"kafka": {"bootstrapServers": "broker:9093", **SASL}},
    "another Kafka with certificates": {
        "kafka": {
            "bootstrapServers": "broker:9093",
            "securityProtocol": "SSL",
            "secretRef": {"name": "my.kafka", "keys": ["ca.crt", "tls.crt", "tls.key"]},
            "properties": {"socket.keepalive.enable": "true"},
        }
    },
    "the operator's Kafka with a property more": {"kafka": {"properties": {"fetch.wait.max.ms": "100"}}},
    "annotations whose characters are counted, not their bytes": {"podAnnotations": {"é" * 317: "x"}},
    "a topic of the longest name": {"topics": ["t" * 249]},
    "whole numbers written with a point": {"replicas": 2.0, "batch": {"timeoutSeconds": 1.0}},
}
