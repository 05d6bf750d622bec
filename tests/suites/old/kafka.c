// Asks a Kafka over TLS for its topics, with the very librdkafka and OpenSSL that the agent for old servers holds.
//   kafka BROKER [SETTING=VALUE]...
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

static void tell(const rd_kafka_t *kafka, int level, const char *part, const char *text) {
    (void)kafka;
    fprintf(stderr, "%d %s %s\n", level, part, text);
}

int main(int count, char **words) {
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const struct rd_kafka_metadata *topics;
    rd_kafka_conf_set_log_cb(conf, tell);
    if (count < 2 || rd_kafka_conf_set(conf, "bootstrap.servers", words[1], error, sizeof error)) return 2;
    for (int at = 2; at < count; at++) {
        char *value = strchr(words[at], '=');
        if (!value) return 2;
        *value++ = 0;
        if (rd_kafka_conf_set(conf, words[at], value, error, sizeof error)) { fprintf(stderr, "%s\n", error); return 2; }
    }
    rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (!kafka) { fprintf(stderr, "%s\n", error); return 3; }
    rd_kafka_resp_err_t code = rd_kafka_metadata(kafka, 1, NULL, &topics, 8000);
    if (code) { fprintf(stderr, "%s\n", rd_kafka_err2str(code)); return 1; }
    for (int at = 0; at < topics->topic_cnt; at++) puts(topics->topics[at].topic);
    rd_kafka_metadata_destroy(topics);
    rd_kafka_destroy(kafka);
    return 0;
}
