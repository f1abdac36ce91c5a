#pragma once

/// Takes the pages of the program and its libraries that nothing was ever written to out of the process's memory: code and
/// constants. Those that are used again are mapped again by the kernel, from its cache or the file.
void sluice_file_pages_release(void);
