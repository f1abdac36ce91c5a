#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>
#include <wslay/wslay.h>

// What Swift cannot import: epoll's packed union. And the socket calls, with the flags that all of them have.

/// What epoll says about one descriptor.
struct sluice_ws_event {
  uint64_t id;
  bool readable;
  bool writable;
  bool hung_up;  // both directions are closed, or there was an error
};

static inline int sluice_ws_poller(void) { return epoll_create1(EPOLL_CLOEXEC); }

static inline int sluice_ws_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

static inline uint32_t sluice_ws_mask(bool reads, bool writes) {
  return (reads ? (uint32_t)EPOLLIN : 0) | (writes ? (uint32_t)EPOLLOUT : 0);
}

static inline bool sluice_ws_watch(int poller, int descriptor, uint64_t id, bool reads, bool writes) {
  struct epoll_event event = {.events = sluice_ws_mask(reads, writes), .data.u64 = id};
  return epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

static inline void sluice_ws_rewatch(int poller, int descriptor, uint64_t id, bool reads, bool writes) {
  struct epoll_event event = {.events = sluice_ws_mask(reads, writes), .data.u64 = id};
  epoll_ctl(poller, EPOLL_CTL_MOD, descriptor, &event);
}

static inline void sluice_ws_unwatch(int poller, int descriptor) {
  struct epoll_event event = {0};
  epoll_ctl(poller, EPOLL_CTL_DEL, descriptor, &event);
}

enum { SLUICE_WS_ROUND = 64 };

/// Waits for events, at most `SLUICE_WS_ROUND` of them.
static inline int sluice_ws_wait(int poller, struct sluice_ws_event *events, int milliseconds) {
  struct epoll_event found[SLUICE_WS_ROUND];
  int count = epoll_wait(poller, found, SLUICE_WS_ROUND, milliseconds);
  for (int i = 0; i < count; i++) {
    events[i].id = found[i].data.u64;
    events[i].readable = found[i].events & EPOLLIN;
    events[i].writable = found[i].events & EPOLLOUT;
    events[i].hung_up = found[i].events & (EPOLLHUP | EPOLLERR);
  }
  return count;
}

/// Bytes received; 0 at the end, -1 when there are none now, -2 when the connection is broken.
static inline ssize_t sluice_ws_receive(int socket, void *bytes, size_t size) {
  ssize_t count = recv(socket, bytes, size, MSG_DONTWAIT);
  if (count >= 0) return count;
  return errno == EAGAIN || errno == EINTR ? -1 : -2;
}

/// Bytes sent; -1 when none fit now, -2 when the connection is broken.
static inline ssize_t sluice_ws_send(int socket, const void *bytes, size_t size) {
  ssize_t count = send(socket, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (count >= 0) return count;
  return errno == EAGAIN || errno == EINTR ? -1 : -2;
}

static inline void sluice_ws_end_sending(int socket) { shutdown(socket, SHUT_WR); }
