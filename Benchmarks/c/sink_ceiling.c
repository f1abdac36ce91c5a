// Documents into a time-series collection as fast as libmongoc inserts them: the ceiling of a sink on one thread.
// The documents are prepared beforehand, of the same shape and in the same order as Sluice's: in a batch those of one
// device are behind one another. There is no Kafka and no ledger. A collection that is there is taken with its indexes.
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DEVICES = 500 };

static bson_t *reading(int64_t number, int64_t received, int64_t first) {
  bson_t *document = bson_new(), meta, claim;
  char device[32];
  snprintf(device, sizeof device, "greenhouse-%04d", (int)(number % DEVICES));
  BSON_APPEND_DATE_TIME(document, "ts", first + number / DEVICES * 100 + number % 100);
  BSON_APPEND_DOCUMENT_BEGIN(document, "meta", &meta);
  BSON_APPEND_UTF8(&meta, "device", device);
  BSON_APPEND_UTF8(&meta, "sensor", "temperature");
  BSON_APPEND_UTF8(&meta, "unit", "Cel");
  bson_append_document_end(document, &meta);
  BSON_APPEND_DOUBLE(document, "value", 15 + (double)(number * 7919 % 2000) / 100);
  BSON_APPEND_DATE_TIME(document, "received", received);
  BSON_APPEND_DOCUMENT_BEGIN(document, "k", &claim);
  BSON_APPEND_INT32(&claim, "p", (int)(number % DEVICES % 4));
  BSON_APPEND_INT64(&claim, "o", number / 4);
  BSON_APPEND_INT32(&claim, "e", 1);
  bson_append_document_end(document, &claim);
  return document;
}

static int failed(const bson_error_t *error) { return fprintf(stderr, "%s\n", error->message), 1; }

int main(int count, char **words) {
  if (count != 6) return fprintf(stderr, "usage: sink_ceiling URI DATABASE COLLECTION DOCUMENTS BATCH\n"), 2;
  const int64_t total = atoll(words[4]), batch = atoll(words[5]);
  if (total < 1 || batch < 1) return fprintf(stderr, "DOCUMENTS and BATCH must be numbers above 0\n"), 2;
  bson_t **documents = calloc((size_t)total, sizeof *documents);
  if (!documents) return fprintf(stderr, "out of memory\n"), 1;
  const int64_t now = (int64_t)time(NULL) * 1000;
  for (int64_t first = 0, made = 0; first < total; first = made)
    for (int device = 0; device < DEVICES; device++)
      for (int64_t i = first + (DEVICES + device - first % DEVICES) % DEVICES; i < total && i < first + batch; i += DEVICES)
        documents[made++] = reading(i, now, now - (total / DEVICES + 1) * 100);

  mongoc_init();
  mongoc_client_t *client = mongoc_client_new(words[1]);
  if (!client) return fprintf(stderr, "not a connection string: %s\n", words[1]), 1;
  mongoc_database_t *database = mongoc_client_get_database(client, words[2]);
  bson_t *layout = BCON_NEW("timeseries", "{", "timeField", "ts", "metaField", "meta", "}");
  bson_error_t error;
  mongoc_collection_t *collection = mongoc_database_create_collection(database, words[3], layout, &error);
  const bool is_there = !collection && error.code == 48;  // NamespaceExists
  if (is_there) collection = mongoc_database_get_collection(database, words[3]);
  if (!collection) return failed(&error);

  bson_t *unordered = BCON_NEW("ordered", BCON_BOOL(false));
  for (int64_t i = 0; i < total; i += batch) {
    const int64_t size = total - i < batch ? total - i : batch;
    if (!mongoc_collection_insert_many(collection, (const bson_t **)documents + i, (size_t)size, unordered, NULL, &error))
      return failed(&error);
  }

  for (int64_t i = 0; i < total; i++) bson_destroy(documents[i]);
  free(documents);
  bson_destroy(unordered), bson_destroy(layout);
  mongoc_collection_destroy(collection), mongoc_database_destroy(database), mongoc_client_destroy(client);
  mongoc_cleanup();
  return 0;
}
