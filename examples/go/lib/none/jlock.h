#error "This module brings no library for this system. Install it, and build with -tags jlock_pkgconfig."
