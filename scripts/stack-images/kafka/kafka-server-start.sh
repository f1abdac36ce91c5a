#!/bin/bash
# shellcheck disable=SC2086  # several options
exec java $KAFKA_HEAP_OPTS -cp '/opt/kafka/libs/*' -Dlog4j2.configurationFile=/opt/kafka/log4j2-broker.properties kafka.Kafka "$@"
