#define _GNU_SOURCE
#include "CFilePages.h"

#include <link.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

static int release(struct dl_phdr_info *object, size_t size, void *page) {
  (void)size;
  // The kernel's own object is no file.
  if (object->dlpi_addr == getauxval(AT_SYSINFO_EHDR)) return 0;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
    // Of a segment that is writable, or was until its addresses were filled in, only the process has what is in it.
    if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
    const uintptr_t start = object->dlpi_addr + segment->p_vaddr, offset = start & (*(uintptr_t *)page - 1);
    madvise((void *)(start - offset), segment->p_memsz + offset, MADV_DONTNEED);
  }
  return 0;
}

void sluice_file_pages_release(void) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  dl_iterate_phdr(release, &page);
}
