import DialectExercise
import Glibc

/// The dialect that `SLUICE_FUZZ_DIALECT` names.
private let exercise: DialectExercise = {
  let name = getenv("SLUICE_FUZZ_DIALECT").map { String(cString: $0) } ?? ""
  guard let exercise = DialectExercise(rawValue: name) else {
    let names = DialectExercise.allCases.map(\.rawValue).joined(separator: ", ")
    fatalError("SLUICE_FUZZ_DIALECT must be one of \(names)")
  }
  return exercise
}()

/// libFuzzer's loop (FuzzerInterface.h).
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ argumentCount: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
  _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The package manager renames an executable's main function to this, so that libFuzzer's own is not linked.
@_cdecl("Fuzz_main")
public func fuzzMain(_ argumentCount: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> CInt {
  var count = argumentCount
  var arguments = arguments
  return runDriver(&count, &arguments) { bytes, count in
    exercise.run(UnsafeRawBufferPointer(start: bytes, count: count))
    return 0
  }
}
