import Testing

@testable import WebSocket

@Suite struct WatchTests {
  private let limits = Watch.Limits(ping: 20, idle: 600, message: 30, messageRate: 1_000, send: 50, close: 5)

  @Test func asksForASignOfLifeOnceAndThenGivesUp() {
    var watch = Watch(limits, now: 0)
    #expect(watch.verdict(20, isBusy: false) == .fine)
    #expect(watch.verdict(21, isBusy: false) == .ping)
    #expect(watch.verdict(40, isBusy: false) == .fine)
    #expect(watch.verdict(41, isBusy: false) == .end(.silent))
    watch.heard(41)
    #expect(watch.verdict(61, isBusy: false) == .fine)
    #expect(watch.verdict(62, isBusy: false) == .ping)
  }

  @Test func aBusyConnectionIsNotIdle() {
    var watch = Watch(limits, now: 0)
    watch.messageEnded(100)
    watch.heard(690)
    #expect(watch.verdict(700, isBusy: false) == .fine)
    #expect(watch.verdict(701, isBusy: true) == .fine)
    #expect(watch.verdict(701, isBusy: false) == .close(.idle))
  }

  @Test func aMessageMustComeWithinItsTime() {
    var watch = Watch(limits, now: 0)
    watch.messageBegan(0)
    watch.heard(30)
    #expect(watch.verdict(30, isBusy: false) == .fine)
    #expect(watch.verdict(31, isBusy: false) == .close(.tooSlow))
    watch.messageContinued(10)
    #expect(watch.verdict(40, isBusy: false) == .fine)
    #expect(watch.verdict(41, isBusy: false) == .close(.tooSlow))
    watch.messageEnded(41)
    #expect(watch.verdict(41, isBusy: false) == .fine)
  }

  @Test func aClientMustTakeWhatItIsSent() {
    var watch = Watch(limits, now: 0)
    watch.sending(true, progress: false, 0)
    for time in stride(from: Int64(0), through: 200, by: 40) {
      watch.heard(time)
      watch.sending(true, progress: true, time)
      #expect(watch.verdict(time, isBusy: true) == .fine)
    }
    watch.heard(250)
    watch.sending(true, progress: false, 250)
    #expect(watch.verdict(250, isBusy: true) == .fine)
    #expect(watch.verdict(251, isBusy: true) == .end(.slow))
    watch.sending(false, progress: true, 251)
    #expect(watch.verdict(251, isBusy: true) == .fine)
  }

  /// Nothing can be heard of a client while nothing is read from it.
  @Test func waitsWhileTheServerDoesNotRead() {
    var watch = Watch(limits, now: 0)
    watch.messageBegan(0)
    watch.reads(false, 10)
    #expect(watch.verdict(10_000, isBusy: false) == .fine)
    watch.reads(true, 10_000)
    #expect(watch.verdict(10_020, isBusy: false) == .fine)
    #expect(watch.verdict(10_031, isBusy: false) == .close(.tooSlow))
  }

  @Test func aCloseFrameIsWaitedForAndNothingElse() {
    var watch = Watch(limits, now: 0)
    watch.closing(100)
    watch.closing(104)
    #expect(watch.verdict(105, isBusy: false) == .fine)
    #expect(watch.verdict(106, isBusy: true) == .end(.server))
  }
}
