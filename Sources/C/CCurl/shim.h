#pragma once
#include <curl/curl.h>
#include <stdint.h>

// The variadic calls, which Swift cannot import. Options are passed as numbers, since their names import as an enum.

static inline CURLcode sluice_curl_set_long(CURL *handle, CURLoption option, long value) {
  return curl_easy_setopt(handle, option, value);
}

static inline CURLcode sluice_curl_set_text(CURL *handle, CURLoption option, const char *value) {
  return curl_easy_setopt(handle, option, value);
}

static inline CURLcode sluice_curl_set_headers(CURL *handle, struct curl_slist *headers) {
  return curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
}

/// The bytes are not copied and must stay until the request is over.
static inline CURLcode sluice_curl_set_body(CURL *handle, const void *bytes, int64_t size) {
  CURLcode code = curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
  return code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_POSTFIELDS, size > 0 ? bytes : "");
}

typedef size_t (*sluice_curl_give)(char *bytes, size_t size, size_t count, void *context);

/// The bytes come from a function, which without one for seeking means that libcurl sends them at most once.
static inline CURLcode sluice_curl_set_body_once(CURL *handle, sluice_curl_give give, void *context, int64_t size) {
  CURLcode code = curl_easy_setopt(handle, CURLOPT_POSTFIELDS, NULL);
  if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
  if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_READFUNCTION, give);
  return code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_READDATA, context);
}

typedef size_t (*sluice_curl_take)(const char *bytes, size_t size, size_t count, void *context);

static inline CURLcode sluice_curl_set_callbacks(CURL *handle, sluice_curl_take header, sluice_curl_take body,
                                                 void *context, char *error) {
  CURLcode code = curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, header);
  if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_HEADERDATA, context);
  if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, body);
  if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_WRITEDATA, context);
  if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, error);
  return code;
}

typedef int (*sluice_curl_watch)(void *context, curl_off_t toCome, curl_off_t come, curl_off_t toGo, curl_off_t gone);

/// Called about once a second, and whenever something moves; anything but 0 ends the request.
static inline CURLcode sluice_curl_set_watch(CURL *handle, sluice_curl_watch watch, void *context) {
  CURLcode code = curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, watch);
  if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_XFERINFODATA, context);
  return code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
}

/// Where the answer redirects to, as a whole address; null where it does not. Valid until the next request.
static inline const char *sluice_curl_redirect(CURL *handle) {
  const char *address = NULL;
  return curl_easy_getinfo(handle, CURLINFO_REDIRECT_URL, &address) == CURLE_OK ? address : NULL;
}

static inline long sluice_curl_status(CURL *handle) {
  long status = 0;
  return curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK ? status : 0;
}

static inline CURLcode sluice_curl_global_init(void) { return curl_global_init(CURL_GLOBAL_DEFAULT); }

enum { SLUICE_CURL_ERROR_SIZE = CURL_ERROR_SIZE };
