import CFilePages

/// What of the program and its libraries is in memory.
package enum FilePages {
  /// Gives back what is unchanged since it was read from a file, once all parts are ready: over half of the memory of a
  /// process that does nothing is code and constants that only its start needed. What is used again comes back by itself.
  package static func release(onceReady health: Health, under supervisor: Supervisor) {
    supervisor.start("file-pages", mayEnd: true) {
      while !supervisor.waitForStop(timeout: .seconds(1)) {
        if health.isReady { return release() }
      }
    }
  }

  static func release() { sluice_file_pages_release() }
}
