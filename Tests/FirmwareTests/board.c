// An Arduino on simavr, with the parts around it: an HC-SR04, a voltage at A0, and a W5500 whose connections end at
// 127.0.0.1. Its time is the wall's, for those it talks to have no other.
//
// board MCU ELF [--forward PORT:PORT] [--datagrams PORT] [--eeprom FILE] [--distance MM] [--analog MV] [--cable out]
//
// Commands on standard input, a line each: `distance MM` (0: no echo), `analog MV`, `cable in|out`, `time`, `quit`. On
// standard output: `serial …` (a line that the firmware wrote), `connect PORT`, `done COMMAND`,
// `time MS` (of the board), and at the end `untouched N`, the bytes of memory that neither variables nor stack ever reached.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <simavr/avr_adc.h>
#include <simavr/avr_eeprom.h>
#include <simavr/avr_ioport.h>
#include <simavr/avr_spi.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <simavr/sim_io.h>

static avr_t *avr;
static bool cable = true;

static void fail(const char *what) {
  fprintf(stderr, "board: %s\n", what);
  exit(1);
}

static void say(const char *words, const char *more) {
  printf("%s %s\n", words, more);
  fflush(stdout);
}

// MARK: HC-SR04

static uint32_t distance;
static avr_irq_t *echo_pin;
static avr_cycle_count_t triggered_at;
static bool is_echoing;

static avr_cycle_count_t echo_ends(avr_t *self, avr_cycle_count_t when, void *param) {
  (void)self, (void)when, (void)param;
  avr_raise_irq(echo_pin, 0);
  is_echoing = false;
  return 0;
}

static avr_cycle_count_t echo_begins(avr_t *self, avr_cycle_count_t when, void *param) {
  (void)when, (void)param;
  avr_raise_irq(echo_pin, 1);
  // Sound makes 343 m/s; the sensor gives up after 38 ms.
  const double microseconds = distance ? distance * 2 / 0.343 : 38000;
  avr_cycle_timer_register(self, (avr_cycle_count_t)(microseconds * 16), echo_ends, NULL);
  return 0;
}

static void trigger_changed(avr_irq_t *irq, uint32_t value, void *param) {
  (void)irq, (void)param;
  if (value) {
    triggered_at = avr->cycle;
  } else if (!is_echoing && triggered_at && avr->cycle - triggered_at >= 10 * 16) {
    is_echoing = true;
    // Eight periods of 40 kHz, and what its controller takes.
    avr_cycle_timer_register(avr, 460 * 16, echo_begins, NULL);
  }
}

// MARK: Analogue inputs

static uint32_t analog;
static avr_irq_t *adc_inputs;

static void conversion(avr_irq_t *irq, uint32_t value, void *param) {
  (void)irq, (void)param;
  union {
    avr_adc_mux_t mux;
    uint32_t value;
  } request = {.value = value};
  const uint32_t source = request.mux.src;
  // Where nothing is connected there is noise.
  avr_raise_irq(adc_inputs + ADC_IRQ_ADC0 + source, source == 0 ? analog : (uint32_t)random() % 5000);
}

// MARK: W5500

enum { sockets = 8, buffer_size = 2048 };
enum { CLOSED = 0, INIT = 0x13, SYNSENT = 0x15, ESTABLISHED = 0x17, FIN_WAIT = 0x18, CLOSE_WAIT = 0x1c, UDP = 0x22 };
enum { Sn_MR = 0, Sn_CR = 1, Sn_IR = 2, Sn_SR = 3, Sn_PORT = 4, Sn_DIPR = 12, Sn_DPORT = 16 };
enum { Sn_TX_FSR = 0x20, Sn_TX_RD = 0x22, Sn_TX_WR = 0x24, Sn_RX_RSR = 0x26, Sn_RX_RD = 0x28, Sn_RX_WR = 0x2a };

static struct socket {
  uint8_t registers[0x30];
  uint8_t transmit[buffer_size], receive[buffer_size];
  int fd;
  /// When a peer that does not answer is given up; 0: nothing is on its way.
  avr_cycle_count_t give_up;
} chip_sockets[sockets];
static uint8_t common[0x40];
static avr_irq_t *spi_answer;
static bool selected;
static uint32_t spi_phase;
static uint16_t spi_address;
static uint8_t spi_control;
static int forward_from[4], forward_to[4], forwards, datagram_port;

static uint16_t word(const uint8_t *bytes) { return (uint16_t)(bytes[0] << 8 | bytes[1]); }
static void set_word(uint8_t *bytes, uint16_t value) { bytes[0] = value >> 8, bytes[1] = (uint8_t)value; }
static uint16_t received(struct socket *s) { return (uint16_t)(word(s->registers + Sn_RX_WR) - word(s->registers + Sn_RX_RD)); }
static uint16_t to_send(struct socket *s) { return (uint16_t)(word(s->registers + Sn_TX_WR) - word(s->registers + Sn_TX_RD)); }

/// The datasheet's formula: each try waits twice as long as the one before.
static avr_cycle_count_t retransmission_end(void) {
  uint64_t units = 0;
  for (int retry = 0; retry <= common[0x1b]; retry++) units += (uint64_t)word(common + 0x19) << retry;
  return avr->cycle + units * 100 * 16;
}

static void release(struct socket *s) {
  // Without a cable the peer learns nothing: its end of the connection stays open.
  if (s->fd >= 0 && cable) close(s->fd);
  s->fd = -1;
  s->give_up = 0;
}

static void timed_out(struct socket *s) {
  s->registers[Sn_IR] |= 0x08;
  s->registers[Sn_SR] = CLOSED;
  release(s);
}

static struct sockaddr_in loopback(int port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void begin_connecting(struct socket *s) {
  const uint16_t asked = word(s->registers + Sn_DPORT);
  int port = asked;
  for (int index = 0; index < forwards; index++) {
    if (forward_from[index] == asked) port = forward_to[index];
  }
  char text[8];
  snprintf(text, sizeof text, "%d", asked);
  say("connect", text);
  s->registers[Sn_SR] = SYNSENT;
  s->give_up = retransmission_end();
  if (!cable) return;
  s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const struct sockaddr_in address = loopback(port);
  if (connect(s->fd, (const struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
    s->registers[Sn_SR] = CLOSED;
    release(s);
  }
}

static void transmit(struct socket *s) {
  uint8_t bytes[buffer_size];
  uint16_t count = to_send(s), start = word(s->registers + Sn_TX_RD);
  if (count > buffer_size) count = buffer_size;
  for (uint16_t index = 0; index < count; index++) bytes[index] = s->transmit[(start + index) % buffer_size];
  ssize_t done = count;
  if (s->registers[Sn_SR] == UDP) {
    const struct sockaddr_in address = loopback(datagram_port);
    if (datagram_port && cable) {
      done = sendto(s->fd, bytes, count, 0, (const struct sockaddr *)&address, sizeof address);
    }
    if (done < 0) done = count;
  } else {
    if (!cable) return;
    done = send(s->fd, bytes, count, MSG_NOSIGNAL);
    if (done < 0 && errno == EAGAIN) return;
    if (done < 0) {
      s->registers[Sn_SR] = CLOSED;
      release(s);
      return;
    }
  }
  set_word(s->registers + Sn_TX_RD, (uint16_t)(start + done));
  if (!to_send(s)) {
    s->registers[Sn_IR] |= 0x10;
    s->give_up = 0;
  }
}

static void chip_command(struct socket *s, uint8_t command) {
  uint8_t *r = s->registers;
  switch (command) {
    case 0x01:  // OPEN
      release(s);
      memset(r + Sn_TX_FSR, 0, 12);
      r[Sn_SR] = (r[Sn_MR] & 15) == 1 ? INIT : UDP;
      if (r[Sn_SR] == UDP) {
        s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const struct sockaddr_in address = loopback(0);
        if (bind(s->fd, (const struct sockaddr *)&address, sizeof address) < 0) fail("no UDP port");
      }
      break;
    case 0x04:  // CONNECT
      if (r[Sn_SR] == INIT) begin_connecting(s);
      break;
    case 0x08:  // DISCON
      if (r[Sn_SR] != ESTABLISHED && r[Sn_SR] != CLOSE_WAIT) break;
      if (cable) {
        r[Sn_SR] = CLOSED;
        release(s);
      } else {
        r[Sn_SR] = FIN_WAIT;
        s->give_up = retransmission_end();
      }
      break;
    case 0x10:  // CLOSE
      r[Sn_SR] = CLOSED;
      release(s);
      break;
    case 0x20:  // SEND
      if (r[Sn_SR] != ESTABLISHED && r[Sn_SR] != CLOSE_WAIT && r[Sn_SR] != UDP) break;
      s->give_up = retransmission_end();
      transmit(s);
      break;
    case 0x40:  // RECV: the pointer is what counts here.
      break;
    default:
      fail("a command that the W5500 does not have");
  }
}

static void put(struct socket *s, const uint8_t *bytes, size_t count) {
  uint16_t end = word(s->registers + Sn_RX_WR);
  for (size_t index = 0; index < count; index++) s->receive[end++ % buffer_size] = bytes[index];
  set_word(s->registers + Sn_RX_WR, end);
}

/// What happens on the wire.
static void serve(struct socket *s) {
  uint8_t *r = s->registers;
  if (s->give_up && avr->cycle >= s->give_up) {
    timed_out(s);
    return;
  }
  if (s->fd < 0 || !cable) return;
  uint8_t bytes[buffer_size + 8];
  const size_t room = buffer_size - received(s);
  if (r[Sn_SR] == SYNSENT) {
    struct pollfd state = {.fd = s->fd, .events = POLLOUT};
    if (poll(&state, 1, 0) == 0) return;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    s->give_up = 0;
    r[Sn_SR] = error ? CLOSED : ESTABLISHED;
    if (error) release(s);
  } else if (r[Sn_SR] == ESTABLISHED && room) {
    if (to_send(s) && s->give_up) transmit(s);
    if (s->fd < 0) return;
    const ssize_t count = recv(s->fd, bytes, room, 0);
    if (count > 0) put(s, bytes, (size_t)count);
    if (count == 0) r[Sn_SR] = CLOSE_WAIT;
    if (count < 0 && errno != EAGAIN) {
      r[Sn_SR] = CLOSED;
      release(s);
    }
  } else if (r[Sn_SR] == UDP) {
    const ssize_t count = recv(s->fd, bytes + 8, buffer_size, 0);
    if (count <= 0 || (size_t)count + 8 > room) return;
    const uint8_t head[8] = {127, 0, 0, 1, 0, 67, (uint8_t)(count >> 8), (uint8_t)count};
    put(s, head, 8);
    put(s, bytes + 8, (size_t)count);
  }
}

static uint8_t chip_read(uint8_t block, uint16_t address) {
  if (block == 0) {
    if (address == 0x2e) return (uint8_t)(0xb8 | cable);
    return address < sizeof common ? common[address] : 0;
  }
  struct socket *s = &chip_sockets[block >> 2];
  if ((block & 3) == 2) return s->transmit[address % buffer_size];
  if ((block & 3) == 3) return s->receive[address % buffer_size];
  if (address >= sizeof s->registers) return 0;
  set_word(s->registers + Sn_TX_FSR, (uint16_t)(buffer_size - to_send(s)));
  set_word(s->registers + Sn_RX_RSR, received(s));
  return s->registers[address];
}

static void chip_write(uint8_t block, uint16_t address, uint8_t value) {
  if (block == 0) {
    if (address == 0 && (value & 0x80)) {
      memset(common, 0, sizeof common);
      common[0x39] = 4;
      set_word(common + 0x19, 2000);
      common[0x1b] = 8;
      return;
    }
    if (address < sizeof common) common[address] = value;
    return;
  }
  struct socket *s = &chip_sockets[block >> 2];
  if ((block & 3) == 2) s->transmit[address % buffer_size] = value;
  if ((block & 3) != 1 || address >= sizeof s->registers) return;
  if (address == Sn_CR) {
    chip_command(s, value);
  } else if (address == Sn_IR) {
    s->registers[Sn_IR] &= (uint8_t)~value;
  } else {
    s->registers[address] = value;
  }
}

static void select_changed(avr_irq_t *irq, uint32_t value, void *param) {
  (void)irq, (void)param;
  selected = !value;
  spi_phase = 0;
}

static void spi_byte(avr_irq_t *irq, uint32_t value, void *param) {
  (void)irq, (void)param;
  if (!selected) return;
  uint8_t answer = 0;
  switch (spi_phase++) {
    case 0: spi_address = (uint16_t)(value << 8); break;
    case 1: spi_address |= (uint16_t)value; break;
    case 2: spi_control = (uint8_t)value; break;
    default:
      if (spi_control & 4) {
        chip_write(spi_control >> 3, spi_address, (uint8_t)value);
      } else {
        answer = chip_read(spi_control >> 3, spi_address);
      }
      spi_address++;
  }
  avr_raise_irq(spi_answer, answer);
}

static avr_io_t *spi;

/// simavr takes 100 microseconds for each byte, whatever the clock; at 8 MHz it is one.
static void spi_begins(avr_irq_t *irq, uint32_t value, void *param) {
  (void)irq, (void)value, (void)param;
  for (avr_cycle_timer_slot_p slot = avr->cycle_timers.timer; slot; slot = slot->next) {
    if (slot->param != spi) continue;
    const avr_cycle_timer_t timer = slot->timer;
    avr_cycle_timer_cancel(avr, timer, spi);
    avr_cycle_timer_register(avr, 16, timer, spi);
    return;
  }
}

// MARK: The serial line, and what is said to this program

static void serial_byte(avr_irq_t *irq, uint32_t value, void *param) {
  (void)irq, (void)param;
  static char line[256];
  static size_t length;
  if (value == '\n' || length == sizeof line - 1) {
    line[length] = 0;
    say("serial", line);
    length = 0;
  }
  if (value != '\n' && value != '\r') line[length++] = (char)value;
}

static bool obey(char *line) {
  if (sscanf(line, "distance %u", &distance) == 1 || sscanf(line, "analog %u", &analog) == 1) {
  } else if (!strcmp(line, "cable in")) {
    cable = true;
  } else if (!strcmp(line, "cable out")) {
    cable = false;
  } else if (!strcmp(line, "quit")) {
    return false;
  } else if (!strcmp(line, "time")) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)avr->cycle / 16000);
    say("time", text);
    return true;
  } else {
    fail("unknown command");
  }
  say("done", line);
  return true;
}

/// - Returns: false at the end.
static bool read_commands(int timeout) {
  static char text[256];
  static size_t length;
  struct pollfd input[1 + sockets] = {{.fd = 0, .events = POLLIN}};
  nfds_t count = 1;
  for (int index = 0; index < sockets; index++) {
    struct socket *s = &chip_sockets[index];
    if (s->fd >= 0 && cable && received(s) == 0) input[count++] = (struct pollfd){.fd = s->fd, .events = POLLIN};
  }
  if (poll(input, count, timeout) <= 0 || !input[0].revents) return true;
  const ssize_t bytes = read(0, text + length, sizeof text - 1 - length);
  if (bytes <= 0) return false;
  length += (size_t)bytes;
  char *end;
  while ((end = memchr(text, '\n', length))) {
    *end = 0;
    if (!obey(text)) return false;
    length -= (size_t)(end + 1 - text);
    memmove(text, end + 1, length);
  }
  return true;
}

// MARK: Putting it together

static avr_irq_t *pin(char port, int number) { return avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ(port), number); }

static uint64_t wall_microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void eeprom(const char *file, bool save) {
  uint8_t bytes[1024];
  avr_eeprom_desc_t content = {.ee = bytes, .offset = 0, .size = sizeof bytes};
  FILE *stream = fopen(file, save ? "w" : "r");
  if (!stream) {
    if (save) fail("the EEPROM's file cannot be written");
    return;
  }
  if (save) {
    avr_ioctl(avr, AVR_IOCTL_EEPROM_GET, &content);
    if (fwrite(content.ee, 1, sizeof bytes, stream) != sizeof bytes) fail("the EEPROM's file cannot be written");
  } else if (fread(bytes, 1, sizeof bytes, stream) == sizeof bytes) {
    avr_ioctl(avr, AVR_IOCTL_EEPROM_SET, &content);
  }
  fclose(stream);
}

static void connect_parts(const char *mcu) {
  // Pins 2, 3 and 10 of the two boards.
  const bool is_mega = !strcmp(mcu, "atmega2560");
  avr_irq_t *trigger = is_mega ? pin('E', 4) : pin('D', 2);
  echo_pin = is_mega ? pin('E', 5) : pin('D', 3);
  avr_irq_t *chip_select = is_mega ? pin('B', 4) : pin('B', 2);
  avr_irq_register_notify(trigger, trigger_changed, NULL);
  avr_irq_register_notify(chip_select, select_changed, NULL);
  adc_inputs = avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, 0);
  avr_irq_register_notify(adc_inputs + ADC_IRQ_OUT_TRIGGER, conversion, NULL);
  spi_answer = avr_io_getirq(avr, AVR_IOCTL_SPI_GETIRQ(0), SPI_IRQ_INPUT);
  avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_SPI_GETIRQ(0), SPI_IRQ_OUTPUT), spi_byte, NULL);
  for (spi = avr->io_port; spi && strcmp(spi->kind, "spi"); spi = spi->next) {
  }
  const avr_io_addr_t data_register = 0x4e;
  avr_irq_register_notify(avr_iomem_getirq(avr, data_register, "spdr", AVR_IOMEM_IRQ_ALL), spi_begins, NULL);
  uint32_t flags = 0;
  avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
  avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), serial_byte, NULL);
}

/// Sleeping is waiting for the wall's clock, which main() does.
static void asleep(avr_t *self, avr_cycle_count_t cycles) { (void)self, (void)cycles; }

int main(int count, char **words) {
  signal(SIGPIPE, SIG_IGN);
  if (count < 3) fail("board MCU ELF …");
  const char *eeprom_file = NULL;
  for (int index = 3; index + 1 < count; index += 2) {
    const char *name = words[index], *value = words[index + 1];
    if (!strcmp(name, "--forward") && forwards < 4) {
      if (sscanf(value, "%d:%d", &forward_from[forwards], &forward_to[forwards]) != 2) fail("--forward PORT:PORT");
      forwards++;
    } else if (!strcmp(name, "--datagrams")) {
      datagram_port = atoi(value);
    } else if (!strcmp(name, "--eeprom")) {
      eeprom_file = value;
    } else if (!strcmp(name, "--distance")) {
      distance = (uint32_t)atoi(value);
    } else if (!strcmp(name, "--analog")) {
      analog = (uint32_t)atoi(value);
    } else if (!strcmp(name, "--cable")) {
      cable = strcmp(value, "out") != 0;
    } else {
      fail(name);
    }
  }
  srandom((unsigned)(wall_microseconds() ^ (uint64_t)getpid()));
  for (int index = 0; index < sockets; index++) chip_sockets[index].fd = -1;

  elf_firmware_t firmware = {0};
  if (elf_read_firmware(words[2], &firmware) < 0) fail("the program cannot be read");
  avr = avr_make_mcu_by_name(words[1]);
  if (!avr) fail("no such MCU");
  avr_init(avr);
  firmware.frequency = 16000000;
  firmware.vcc = firmware.avcc = firmware.aref = 5000;
  avr_load_firmware(avr, &firmware);
  avr->log = LOG_ERROR;
  avr->sleep = asleep;
  // Instructions between two looks at what else is due, while nothing is: one, unless told otherwise, is slow.
  avr->run_cycle_limit = 1600;
  connect_parts(words[1]);
  if (eeprom_file) eeprom(eeprom_file, false);
  const uint8_t untouched = 0xa5;
  const uint16_t memory = words[1][6] == '2' ? 0x200 : 0x100;
  memset(avr->data + memory, untouched, avr->ramend + 1U - memory);

  uint64_t begin = wall_microseconds();
  const avr_cycle_count_t base = avr->cycle;
  bool goes_on = true;
  while (goes_on) {
    const avr_cycle_count_t now = base + (wall_microseconds() - begin) * 16;
    // A millisecond at a time, so that what comes over the wire is seen in between. Where this process had to wait, it
    // catches up; but not after two seconds, for then it is the machine that is too slow.
    if (now > avr->cycle + 2 * 16000000) begin += (now - avr->cycle) / 16;
    const avr_cycle_count_t end = now < avr->cycle + 16000 ? now : avr->cycle + 16000;
    while (avr->cycle < end) {
      const int state = avr_run(avr);
      if (state == cpu_Done || state == cpu_Crashed) fail("the program crashed");
    }
    for (int index = 0; index < sockets; index++) serve(&chip_sockets[index]);
    goes_on = read_commands(now > avr->cycle + 1000 ? 0 : 1);
  }
  if (eeprom_file) eeprom(eeprom_file, true);
  size_t longest = 0, run = 0;
  for (uint32_t address = memory; address <= avr->ramend; address++) {
    run = avr->data[address] == untouched ? run + 1 : 0;
    if (run > longest) longest = run;
  }
  char text[16];
  snprintf(text, sizeof text, "%zu", longest);
  say("untouched", text);
  return 0;
}
