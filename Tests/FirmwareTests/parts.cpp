// The parts of the Arduino's firmware that need no Arduino.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "DhcpMessages.h"
#include "HttpResponse.h"
#include "MqttPackets.h"
#include "Outbox.h"
#include "Retry.h"

using namespace sluice;

#define CHECK(condition)                                                  \
  do {                                                                    \
    if (!(condition)) {                                                   \
      std::printf("parts.cpp:%d: not so: %s\n", __LINE__, #condition);    \
      std::exit(1);                                                       \
    }                                                                     \
  } while (0)

/// With the zeros that are in it.
template <size_t size>
static std::string raw(const char (&words)[size]) {
  return std::string(words, size - 1);
}

template <typename Write>
static std::string text(Write write) {
  char bytes[512];
  Text measured(nullptr, 0);
  write(measured);
  Text out(bytes, sizeof bytes);
  write(out);
  CHECK(out.fits() && out.length() == measured.length());
  return std::string(bytes, out.length());
}

static void texts() {
  const struct {
    int32_t number;
    const char *words;
  } numbers[] = {{0, "0"}, {123400, "123.4"}, {5, "0.005"}, {-5, "-0.005"}, {-1500, "-1.5"}, {1000, "1"}, {120, "0.12"},
                 {2147483647, "2147483.647"}, {INT32_MIN, "-2147483.648"}};
  for (auto &one : numbers) CHECK(text([&](Text &out) { out.thousandths(one.number); }) == one.words);
  CHECK(text([](Text &out) { out.number(4294967295u); }) == "4294967295");
  CHECK(text([](Text &out) { out.hex(0xbeef, 8); }) == "0000beef");
  CHECK(text([](Text &out) { out.quoted("a\"b\\c\n\x01\xc3\xa4"); }) == "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa4\"");

  char small[4] = {'x', 'x', 'x', 'x'};
  Text narrow(small, 3);
  narrow.add("abcd");
  CHECK(!narrow.fits() && narrow.length() == 4 && small[3] == 'x');

  const char *names[] = {"a", "uno-1", "A.b_c:d-9", "0"};
  for (auto name : names) CHECK(isName(name, 40));
  const char *others[] = {"", "-a", "a b", "a/b", "\xc3\xa4", "a\"", "#", "+", ".a"};
  for (auto name : others) CHECK(!isName(name, 40));
  CHECK(isName("0123456789", 10) && !isName("01234567890", 10));
}

static void outboxes() {
  const Channel channels[] = {{"distance", "cm"}, {"door", ""}};
  Reading storage[3];
  Outbox box(storage, 3, channels, "un\"o");
  box.begin(Boot{7, 0xabcdef01});
  const auto json = [&box](uint32_t now, bool isWhole = false) {
    box.send();
    return text([&](Text &out) { box.write(out, now, isWhole); });
  };
  CHECK(box.isEmpty());
  box.add(0, 123400, 1000);
  CHECK(json(1000) == "{\"value\":123.4,\"unit\":\"cm\",\"id\":\"0007abcdef01-0\"}");
  CHECK(json(1000, true) == "{\"device\":\"un\\\"o\",\"sensor\":\"distance\",\"value\":123.4,\"unit\":\"cm\",\"id\":\"0007abcdef01-0\"}");
  CHECK(json(2999) == json(1000));
  CHECK(json(3000) == "{\"value\":123.4,\"unit\":\"cm\",\"id\":\"0007abcdef01-0\",\"tags\":{\"waited\":\"2\"}}");
  box.settled();
  CHECK(box.isEmpty());

  // The clock begins anew while a reading waits.
  box.add(1, 1000, 0xffffff00);
  CHECK(json(4744) == "{\"value\":1,\"id\":\"0007abcdef01-1\",\"tags\":{\"waited\":\"5\"}}");
  box.settled();

  // The oldest make way, and are told of until somebody has heard it.
  for (int number = 0; number < 5; number++) box.add(0, number * 1000, 5000);
  CHECK(box.count() == 3 && box.dropped() == 2);
  const char *told = "{\"value\":2,\"unit\":\"cm\",\"id\":\"0007abcdef01-4\",\"tags\":{\"dropped\":\"2\"}}";
  CHECK(json(5000) == told && json(5000) == told);
  box.settled();
  CHECK(json(5000) == "{\"value\":3,\"unit\":\"cm\",\"id\":\"0007abcdef01-5\"}");
  CHECK(json(9000).find("\"tags\":{\"waited\":\"4\"}") != std::string::npos);

  // One makes way while it is being sent, and arrives all the same: it is not lost, and no other is taken for it.
  box.add(0, 5000, 5000);
  box.add(0, 6000, 5000);
  CHECK(box.dropped() == 3);
  box.settled();
  CHECK(box.dropped() == 2 && box.count() == 3);
  CHECK(json(5000).find("\"value\":4") != std::string::npos);

  // Against a list that does the same.
  Reading many[16];
  Outbox random(many, 16, channels, "d");
  std::vector<int> model;
  unsigned seed = 1, dropped = 0;
  for (int step = 0; step < 20000; step++) {
    seed = seed * 1103515245 + 12345;
    if (seed >> 16 & 1) {
      random.add(0, step * 1000, 0);
      model.push_back(step);
      if (model.size() > 16) model.erase(model.begin()), dropped++;
    } else if (!model.empty()) {
      random.send();
      const std::string words = text([&](Text &out) { random.write(out, 0, false); });
      CHECK(words.find("{\"value\":" + std::to_string(model[0]) + ",") == 0);
      random.settled();
      model.erase(model.begin());
    }
    CHECK(random.count() == model.size() && random.dropped() == dropped);
  }
}

static std::string bytes(const Packet &packet) { return std::string(reinterpret_cast<const char *>(packet.bytes), packet.length); }

static void packets() {
  uint8_t buffer[400];
  // The bytes of MQTT 3.1.1, written by hand from its sections 3.1 and 3.3.
  const MqttLogin login = {"d", "me", "pw", 60, "d", "false"};
  CHECK(bytes(connectPacket(login, buffer, sizeof buffer)) ==
        raw("\x10\x2e\0\4MQTT\4\xee\0\x3c\0\1d\0\20sensors/d/online\0\5false\0\2me\0\2pw"));
  const MqttLogin anonymous = {"d", nullptr, "pw", 300, "d", "x"};
  CHECK(bytes(connectPacket(anonymous, buffer, sizeof buffer)) ==
        raw("\x10\x22\0\4MQTT\4\x2e\x01\x2c\0\1d\0\20sensors/d/online\0\1x"));
  PacketBuilder ping(buffer, sizeof buffer);
  CHECK(bytes(ping.finish(PacketBuilder::pingRequest)) == raw("\xc0\0"));

  // Around each border of the length's size, and of the buffer's.
  for (size_t length = 0; length < sizeof buffer; length++) {
    PacketBuilder packet(buffer, sizeof buffer);
    packet.topic("d", "s");
    packet.word(258);
    Text payload = packet.payload();
    for (size_t index = 0; index < length; index++) payload.add('p');
    packet.take(payload);
    const Packet whole = packet.finish(0x32);
    const size_t rest = 2 + 11 + 2 + length;
    if (rest + 3 > sizeof buffer) {
      CHECK(whole.length == 0);
      continue;
    }
    std::string expected = "\x32";
    if (rest >= 128) expected += static_cast<char>(rest % 128 | 128);
    expected += static_cast<char>(rest < 128 ? rest : rest / 128);
    expected += raw("\0\13sensors/d/s\1\2") + std::string(length, 'p');
    CHECK(bytes(whole) == expected);
  }

  PacketReader reader;
  int packets = 0;
  const auto feed = [&](const std::string &words) {
    for (char byte : words) {
      if (!reader.feed(static_cast<uint8_t>(byte))) continue;
      packets++;
    }
  };
  feed(raw("\x20\2\0\5"));
  CHECK(packets == 1 && reader.type() == PacketReader::connectAnswer && reader.returnCode() == 5);
  feed(raw("\x40\2\1\2\xd0\0"));
  CHECK(packets == 3 && reader.type() == PacketReader::pingAnswer);
  feed(raw("\x40\2\1"));
  CHECK(packets == 3);
  feed("\2");
  CHECK(packets == 4 && reader.packetID() == 258);
  // Something long that nobody asked for is passed over.
  feed(raw("\x30\xc8\x01") + std::string(200, 'x') + raw("\x40\2\0\1"));
  CHECK(packets == 6 && reader.packetID() == 1);
  feed(raw("\x40\3\0\1\2"));
  CHECK(packets == 7 && reader.packetID() == 0);
  feed(raw("\x30\xff\xff\xff\xff"));
  CHECK(reader.isBroken());
  reader.reset();
  feed(raw("\xd0\0"));
  CHECK(packets == 8);
}

static void responses() {
  const struct {
    const char *words;
    uint16_t status, retryAfter;
    bool staysOpen;
  } all[] = {
      {"HTTP/1.1 202 Accepted\r\nContent-Length: 14\r\n\r\n{\"accepted\":1}", 202, 0, true},
      {"HTTP/1.1 204 No Content\r\ncontent-length:0\r\n\r\n", 204, 0, true},
      {"HTTP/1.1 503 Busy\r\nRETRY-AFTER: 17\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", 503, 17, false},
      {"HTTP/1.1 202 Accepted\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\n1", 202, 0, true},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 No\r\nContent-Length: 1\r\n\r\nx", 401, 0, true},
      {"HTTP/1.1 200 OK\nX-A-Very-Long-Name-That-Is-Not-Content-Length: 5\nContent-Length: 1\n\nx", 200, 0, true},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1", 200, 0, false},
      {"220 mail.example ESMTP", 0, 0, false},
  };
  for (auto &one : all) {
    HttpResponse response;
    const std::string words = one.words;
    size_t taken = 0;
    while (taken < words.size() && !response.feed(static_cast<uint8_t>(words[taken++]))) {
    }
    CHECK(response.status() == one.status && response.retryAfter() == one.retryAfter);
    CHECK(response.staysOpen() == one.staysOpen);
    CHECK(taken == words.size() || one.status == 0);
  }
  // Not a byte too early.
  HttpResponse response;
  const std::string words = "HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\nab";
  for (char byte : words) CHECK(!response.feed(static_cast<uint8_t>(byte)));
  CHECK(response.feed('c'));

  CHECK(fate(202) == Fate::accepted && fate(200) == Fate::accepted);
  // A proxy that is set up wrongly answers 405 or 407: that is not about the reading.
  for (int status : {0, 302, 401, 403, 404, 405, 407, 408, 429, 431, 500, 503}) {
    CHECK(fate(static_cast<uint16_t>(status)) == Fate::again);
  }
  for (int status : {400, 413, 415, 422}) CHECK(fate(static_cast<uint16_t>(status)) == Fate::refused);
}

static void leases() {
  const uint8_t mac[6] = {2, 3, 4, 5, 6, 7};
  DhcpRequest request = {DhcpType::request, 0x11223344, mac, {0}, {10, 0, 0, 5}, {10, 0, 0, 1}};
  std::string words;
  for (uint16_t index = 0; index < dhcpRequestLength; index++) words += static_cast<char>(dhcpByte(request, index));
  CHECK(words.substr(0, 12) == raw("\1\1\6\0\x11\x22\x33\x44\0\0\x80\0"));
  CHECK(words.substr(28, 6) == std::string("\2\3\4\5\6\7"));
  CHECK(words.substr(236) == raw("\x63\x82\x53\x63\x35\1\3\x37\3\1\3\x33\x32\4\12\0\0\5\x36\4\12\0\0\1\xff") + std::string(39, '\0'));
  request.type = DhcpType::discover;
  CHECK(dhcpByte(request, 248) == 255);

  std::string answer = words.substr(0, 240);
  answer[0] = 2;
  answer.replace(16, 4, raw("\12\0\0\5"));
  answer += raw("\x35\1\5\0\x33\4\0\1\x51\x80\3\10\12\0\0\1\12\0\0\2\1\4\xff\xff\0\0\x36\4\12\0\0\1\xff\x35\1\6");
  const auto read = [&mac](const std::string &message, uint32_t transaction) {
    DhcpReplyReader reader(transaction, mac);
    for (char byte : message) reader.feed(static_cast<uint8_t>(byte));
    return reader;
  };
  const DhcpReplyReader reply = read(answer, 0x11223344);
  CHECK(reply.isForUs() && reply.type() == DhcpType::acknowledge && reply.lease == 86400);
  CHECK(reply.address[0] == 10 && reply.address[3] == 5 && reply.gateway[3] == 1 && reply.mask[1] == 255 && reply.mask[2] == 0);
  CHECK(reply.server[0] == 10 && reply.server[3] == 1);
  CHECK(!read(answer, 0x11223345).isForUs());
  CHECK(!read(words, 0x11223344).isForUs());
  std::string other = answer;
  other[33] = 9;
  CHECK(!read(other, 0x11223344).isForUs());
  for (size_t length = 0; length <= 240; length++) CHECK(!read(answer.substr(0, length), 0x11223344).isForUs());
  // Whatever comes, nothing is written where it does not belong.
  unsigned seed = 7;
  for (int round = 0; round < 2000; round++) {
    std::string broken = answer;
    for (int change = 0; change < 8; change++) {
      seed = seed * 1103515245 + 12345;
      broken[seed % broken.size()] = static_cast<char>(seed >> 16);
    }
    read(broken, 0x11223344);
  }
}

static void retries() {
  Retry retry;
  retry.begin(99);
  CHECK(retry.isDue(5));
  uint32_t now = 0xffffff00, longest = 0;
  for (int failure = 0; failure < 40; failure++) {
    retry.failed(now);
    CHECK(retry.wait() >= 500 && retry.wait() < 90000);
    if (failure == 0) CHECK(retry.wait() < 1500);
    CHECK(!retry.isDue(now + retry.wait() - 1) && retry.isDue(now + retry.wait()));
    now += retry.wait();
    if (retry.wait() > longest) longest = retry.wait();
  }
  CHECK(longest > 30000);
  retry.succeeded();
  retry.failed(now);
  CHECK(retry.wait() < 1500);
  retry.failed(now, 30000);
  CHECK(retry.wait() == 30000);
  // After a success nothing is waited for, also not 49 days later, when the clock shows the same again.
  CHECK(!retry.isDue(now + 1));
  retry.succeeded();
  CHECK(retry.isDue(now + 1));
}

int main() {
  texts();
  outboxes();
  packets();
  responses();
  leases();
  retries();
  std::printf("all parts: ok\n");
}
