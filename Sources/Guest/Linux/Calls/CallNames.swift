// Names of the system calls that programs try and that are not there, for the console.

#if hasFeature(Embedded)
    enum CallNames {
        /// The name; empty for numbers that hardly any program uses.
        static func name(_ number: UInt64) -> StaticString {
            switch number {
            case 27: "mincore"
            case 29: "shmget"
            case 36: "getitimer"
            case 57: "fork"
            case 58: "vfork"
            case 59: "execve"
            case 61: "wait4"
            case 101: "ptrace"
            case 103: "syslog"
            case 129: "rt_sigqueueinfo"
            case 132: "utime"
            case 161: "chroot"
            case 165: "mount"
            case 187: "readahead"
            case 206: "io_setup"
            case 219: "restart_syscall"
            case 222: "timer_create"
            case 235: "utimes"
            case 247: "waitid"
            case 253: "inotify_init"
            case 254: "inotify_add_watch"
            case 261: "futimesat"
            case 272: "unshare"
            case 274: "get_robust_list"
            case 275: "splice"
            case 294: "inotify_init1"
            case 299: "recvmmsg"
            case 307: "sendmmsg"
            case 309: "getcpu"
            case 317: "seccomp"
            case 321: "bpf"
            case 322: "execveat"
            case 324: "membarrier"
            case 326: "copy_file_range"
            case 425: "io_uring_setup"
            case 434: "pidfd_open"
            case 437: "openat2"
            case 441: "epoll_pwait2"
            case 449: "futex_waitv"
            case 424: "pidfd_send_signal"
            default: ""
            }
        }
    }
#endif
