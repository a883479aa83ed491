# A peer in Perl, written from PROTOCOL.md alone: it shares nothing with the library. The sections below have the names
# of that document's sections.
#
# It leaves out what no test vector needs: the line, inotify, refreshing, checkpoints, durability, and file systems that
# are not known to be local. It runs on 64-bit Linux, on x86 or ARM. A process has one peer at a time, whose directory is
# the current one, so the names below need no directory descriptor.

package Peer;

use strict;
use warnings;
use Errno qw(ENOENT ESTALE EEXIST ELOOP EACCES EPERM EROFS EWOULDBLOCK ESRCH EINVAL ENOSYS ETXTBSY);
use Fcntl qw(:DEFAULT :flock :mode);
use IO::Handle;
use POSIX ();
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC CLOCK_REALTIME);

use constant { CLOCK_BOOTTIME => 7, SIGURG => 23 };
use constant { F_SETSIG => 10, F_SETLEASE => 1024, LEASE_READ => 0, LEASE_NONE => 2 };
use constant { NOREPLACE => 1, EXCHANGE => 2, AT_FDCWD => -100 };
use constant { SETTLE => 0.1, STALE => 30, RETRY => 0.025, UNSTAMPED => 3, LATE_STAMP => 15, LATE_HOLD => 29 };
use constant SAFE => O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

my ($RENAMEAT2, $UTIMENSAT) = (POSIX::uname())[4] eq 'x86_64' ? (316, 280) : (276, 88);
my $LOCAL = join '|', qw(ext2 ext3 ext4 xfs btrfs tmpfs devtmpfs ramfs rootfs overlay f2fs zfs bcachefs vfat msdos exfat
    reiserfs jfs nilfs2 ubifs);
my $WHITE = join '|', map { my $c = chr; utf8::encode($c); quotemeta $c }
    0x09 .. 0x0d, 0x20, 0xa0, 0x1680, 0x2000 .. 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0xfeff;

sub wall { clock_gettime(CLOCK_REALTIME) }
sub mono { clock_gettime(CLOCK_MONOTONIC) }

sub slurp {
    my ($path) = @_;
    open my $f, '<', $path or return '';
    my $text = do { local $/; <$f> } // '';
    chomp $text;
    return $text;
}

sub trim {
    my ($bytes) = @_;
    $bytes =~ s/\A(?:$WHITE)+//;
    $bytes =~ s/(?:$WHITE)+\z//;
    return $bytes;
}

# ------------------------------------------------------------------------------------------------ system calls

sub id {    # which file this is, or was a moment ago if it is given by name
    my ($file) = @_;
    my @s = ref $file ? stat $file : lstat $file;
    return @s ? "$s[0]:$s[1]" : '';
}

sub mtime { (Time::HiRes::stat($_[0]))[9] // 0 }

sub renew {    # returns the time just before
    my ($f) = @_;
    my $now = wall();
    my $times = pack 'q4', 0, 0x3ffffffe, 0, 0x3fffffff;    # the access time stays, the mtime is now
    syscall($UTIMENSAT, fileno $f, 0, $times, 0) == 0 or die "utimensat: $!\n";
    return $now;
}

sub renameat2 {
    my ($from, $to, $flags) = @_;
    return syscall($RENAMEAT2, AT_FDCWD, $from, AT_FDCWD, $to, $flags) == 0;
}

sub contents {
    my ($f, $most) = @_;
    my $text = '';
    sysseek $f, 0, 0;
    while (!defined $most || length $text < $most) {
        my $n = sysread $f, $text, ($most // length($text) + 65536) - length $text, length $text;
        defined $n or die "read: $!\n";
        last if !$n;
    }
    return $text;
}

sub write_at {
    my ($f, $at, $bytes) = @_;
    sysseek $f, $at, 0;
    return (syswrite($f, $bytes) // -1) == length $bytes;
}

sub lease {
    my ($f) = @_;
    fcntl $f, F_SETSIG, SIGURG;
    if (fcntl $f, F_SETLEASE, LEASE_READ) {
        fcntl $f, F_SETLEASE, LEASE_NONE;
        return 'granted';
    }
    return $! == EWOULDBLOCK ? 'refused' : 'none';
}

sub lives {
    my ($pid) = @_;
    return 0 if $pid > 4_194_304;
    return kill(0, $pid) || $! != ESRCH;
}

sub start_time {
    my ($pid) = @_;
    my ($rest) = slurp("/proc/$pid/stat") =~ /.*\) (.*)/s or return '';
    return (split ' ', $rest)[19];
}

# ------------------------------------------------------------------------------------------------ the stamp

sub unknown { !defined $_[0] || $_[0] eq '' || $_[0] eq '0' }
sub same { !unknown($_[0]) && !unknown($_[1]) && $_[0] eq $_[1] }

my %HERE;

sub here {
    %HERE = (
        boot => slurp('/proc/sys/kernel/random/boot_id'),
        pidns => (stat '/proc/self/ns/pid')[1] // 0,
        timens => (stat '/proc/self/ns/time')[1] // 0,
        start => start_time($$),
        host => (POSIX::uname())[1],
        booted => wall() - clock_gettime(CLOCK_BOOTTIME),
    ) if !%HERE;
    return \%HERE;
}

sub stamp {
    my ($nonce, $since) = @_;
    my $h = here();
    my $fields = join ' ', map { "$_=$h->{$_}" } qw(boot pidns timens start host);
    return sprintf "%d\n%s\njlock/1 since=%013d %s\n", $$, $nonce, $since * 1000, $fields;
}

sub parse {    # { kind, pid, nonce, fields, length, postscript }
    my ($text) = @_;
    my %s = (kind => 'foreign');
    return { kind => 'cut short' } if $text =~ /\A\0*\z/;
    { my $copy = $text; return \%s if !utf8::decode($copy); }
    my ($first, $second, $third, $rest) = split /\n/, $text, 4;
    my $lines = $text =~ tr/\n//;
    if ($lines == 0) {
        $s{kind} = 'cut short' if $text =~ /\A\d*\z/a;
        return \%s;
    }
    my ($pid) = $first =~ /\A\s*\+?0*(\d{1,10})\s*\z/a or return \%s;
    return \%s if $pid < 1 || $pid > 0x7fffffff;
    if ($lines == 1) {
        return \%s if $second ne '' && $second !~ /\A\d{1,10}(?:-[0-9a-f]{0,16})?\z/a;
        return { kind => 'cut short', pid => $pid };
    }
    return \%s if $second !~ /\A\d{1,10}-[0-9a-f]{16}\z/a;
    %s = (kind => 'shipped', pid => $pid, nonce => $second);
    if ($lines > 2 && $third =~ /\Ajlock\/1 (.*)/s) {
        $s{kind} = 'library';
        $s{fields} = { map { /\A([^=]+)=(.*)/s ? ($1, $2) : () } split ' ', $1 };
        $s{length} = length("$first$second$third") + 3;
        ($s{postscript}) = $rest =~ /\A(.*\n)/s;
        $s{postscript} //= '';
    }
    return \%s;
}

# ------------------------------------------------------------------------------------------------ the handle

sub new {
    my ($class, $dir, $journal) = @_;
    $journal //= 'changes.journal';
    chdir $dir or die "$dir: $!\n";
    sysopen my $here, '.', O_RDONLY | O_DIRECTORY or die "$dir: $!\n";
    my ($mount) = slurp('/proc/self/fdinfo/' . fileno $here) =~ /^mnt_id:\s*(\d+)/m;
    my ($type) = slurp('/proc/self/mountinfo') =~ /^$mount .* - (\S+) /m;
    $type =~ /\A(?:$LOCAL)\z/ or die "$dir: $type is not known to be a local file system\n";
    return bless { journal => $journal, lock => "$journal.lock", swept => -1e9, seen => '' }, $class;
}

sub private {    # a private file with its flock, without content
    my ($self) = @_;
    while (1) {
        open my $random, '<:raw', '/dev/urandom' or die "urandom: $!\n";
        sysread $random, my $bytes, 8;
        my $nonce = "$$-" . unpack 'H16', $bytes;
        my $name = "$self->{lock}.$nonce.tmp";
        sysopen my $f, $name, O_RDWR | O_CREAT | O_EXCL | SAFE, 0666 or die "$name: $!\n";
        return { nonce => $nonce, name => $name, f => $f, id => id($f) } if flock $f, LOCK_EX | LOCK_NB;
        $! == EWOULDBLOCK or die "flock: $!\n";
        unlink $name;
    }
}

sub park {
    my ($self) = @_;
    return if $self->{parked};
    if (mono() - $self->{swept} >= 1) {
        $self->{swept} = mono();
        $self->sweep;
    }
    my $p = $self->private;
    $p->{sign} = wall();
    $p->{stamp} = stamp($p->{nonce}, 0);
    write_at($p->{f}, 0, $p->{stamp}) or die "$p->{name}: $!\n";
    $self->{parked} = $p;
}

sub unpark {
    my ($self) = @_;
    my $p = delete $self->{parked} or return;
    unlink $p->{name};
    CORE::close $p->{f};
}

sub sweep {
    my ($self) = @_;
    my ($names, $living) = (0, 0);
    opendir my $d, '.' or return;
    while (defined(my $name = readdir $d)) {
        last if ++$names > 1024;
        next if $name !~ /\A\Q$self->{lock}\E\.(.*)\.tmp\z/s;
        my $pid = $1 =~ /\A0*(\d{1,10})-/a ? $1 : 0;
        my $alive = $pid && lives($pid);
        next if $alive && ++$living > 8;
        sysopen my $f, $name, O_RDONLY | SAFE or next;
        next if !-f $f || !flock $f, LOCK_EX | LOCK_NB;
        my $text = eval { contents($f, 4096) } // next;
        my $s = parse($text);
        my $ours = $text =~ /\A# / || $s->{kind} eq 'library' && ($s->{fields}{flock} // '') ne 'none';
        unlink $name if $ours || $pid && !$alive || wall() - mtime($f) > STALE;
    }
    opendir my $line, "$self->{lock}.line" or return;
    for my $ticket (map { "$self->{lock}.line/$_" } grep { !/\A\.\.?\z/ } readdir $line) {
        sysopen my $f, $ticket, O_RDONLY | SAFE or next;
        unlink $ticket if -f $f && flock $f, LOCK_EX | LOCK_NB;
    }
    rmdir "$self->{lock}.line";
}

# ------------------------------------------------------------------------------------------------ look

sub age {
    my ($self, $f) = @_;
    my ($what, $now) = (id($f) . '@' . mtime($f), mono());
    ($self->{seen}, $self->{since}) = ($what, $now) if $self->{seen} ne $what;
    my ($wall, $watched) = (wall() - mtime($f), $now - $self->{since});
    return $wall > $watched ? $wall : $watched;
}

# Returns whether the holder is dead, for how long it cannot be (if that is known), and what the lease said.
sub judge {
    my ($self, $f, $s) = @_;
    my $age = $self->age($f);
    my $after = sub { $age > $_[0] ? (1, 0, $_[1]) : (0, $_[0] - $age, $_[1]) };
    if ($s->{kind} eq 'library') {
        my ($h, $x) = (here(), $s->{fields});
        if (($x->{flock} // '') eq 'none') {
            return $after->(STALE) if !same($h->{boot}, $x->{boot}) || !same($h->{pidns}, $x->{pidns});
            return 1 if !lives($s->{pid});
            return 0 if !same($h->{timens}, $x->{timens}) || unknown($x->{start});
            my $start = start_time($s->{pid});
            return !unknown($start) && $start ne $x->{start};
        }
        return 1 if same($h->{boot}, $x->{boot});
        return 1 if !unknown($h->{boot}) && !unknown($x->{boot}) && mtime($f) < $h->{booted};
        return $after->(STALE);
    }
    if ($s->{kind} eq 'foreign' || $s->{pid} && lives($s->{pid})) {
        return $after->(STALE) if $age <= STALE;
        my $lease = lease($f);
        return $lease eq 'refused' ? 0 : (1, 0, $lease);
    }
    my $lease = lease($f);
    return 0 if $lease eq 'refused';
    return $after->(SETTLE, $lease) if $lease eq 'granted';
    return $s->{pid} ? (1, 0, $lease) : $after->(UNSTAMPED, $lease);
}

# One look: 'held', 'changed' (begin again), or for how long to wait at most.
sub look {
    my ($self) = @_;
    my @there = lstat $self->{lock} or return 'changed';
    S_ISREG($there[2]) or die "refused: $self->{lock} is not a regular file\n";
    my $f;
    if (!sysopen $f, $self->{lock}, O_RDONLY | SAFE) {
        return 'changed' if $! == ENOENT || $! == ESTALE || $! == ELOOP;
        return RETRY if $! == EACCES || $! == EWOULDBLOCK;
        die "$self->{lock}: $!\n";
    }
    my $free = flock $f, LOCK_EX | LOCK_NB;
    $free || $! == EWOULDBLOCK or die "flock: $!\n";
    return 'changed' if id($self->{lock}) ne id($f);
    return RETRY if !$free;
    my $s = parse(contents($f, 4096));
    my ($dead, $until, $lease) = $self->judge($f, $s);
    return $dead ? $self->claim($f, $s, $lease // '') : $until || RETRY;
}

sub query {    # (state, stamp)
    my ($self) = @_;
    while (1) {
        my @there = lstat $self->{lock} or return ('free', {});
        S_ISREG($there[2]) or return ('refused', {});
        sysopen my $f, $self->{lock}, O_RDONLY | SAFE or next;
        my $free = flock $f, LOCK_SH | LOCK_NB;
        next if id($self->{lock}) ne id($f);
        my $s = parse(contents($f, 4096));
        my ($dead) = $free ? $self->judge($f, $s) : 0;
        return ($dead ? 'abandoned' : 'held', $s);
    }
}

# ------------------------------------------------------------------------------------------------ claim, settle

sub claim {
    my ($self, $f, $s, $lease) = @_;
    return $self->exchange($f, $s) if $s->{kind} eq 'foreign';
    my $w;
    if (!sysopen $w, $self->{lock}, O_WRONLY | SAFE) {
        grep { $! == $_ } EACCES, EPERM, EROFS, ETXTBSY, EWOULDBLOCK, ENOENT, ESTALE or die "$self->{lock}: $!\n";
        return $self->exchange($f, $s);
    }
    return $self->exchange($f, $s) if id($w) ne id($f);
    my ($old, $was) = (contents($f), mtime($f));
    my $sign = wall();
    my $postscript = $s->{postscript} // '';
    my $stamp = stamp($self->{parked}{nonce}, $sign);
    if (!write_at($w, 0, $stamp . $postscript) || !truncate $w, length "$stamp$postscript") {
        my $error = $!;
        write_at($w, 0, $old);
        truncate $w, length $old;
        Time::HiRes::utime($was, $was, $w);
        die "$self->{lock}: $error\n";
    }
    my %hold = (f => $f, w => $w, id => id($f), stamp => $stamp, sign => $sign);
    @hold{qw(postscript owner)} = ($postscript, (stat $f)[4]);
    my $held = $self->settle(\%hold);
    return $held if $held ne 'held';
    if ($s->{kind} eq 'cut short' && $lease ne 'granted') {
        my $p = $self->{parked};
        $p->{sign} = renew($p->{f});
        return 'changed' if overdue(\%hold) || !rename $p->{name}, $self->{lock};
        $held = $self->settle({ %$p, w => $p->{f}, moved => 1 });
        delete $self->{parked};
        return $held;
    }
    my $dead = "$self->{lock}." . ($s->{nonce} // '') . '.tmp';
    unlink $dead if $s->{kind} eq 'library' && id($dead) eq $hold{id};
    return 'held';
}

sub exchange {
    my ($self, $f, $s) = @_;
    my $p = $self->{parked};
    my $postscript = $s->{postscript} // '';
    $p->{sign} = renew($p->{f});
    return 'changed' if id($self->{lock}) ne id($f);
    if (!renameat2($p->{name}, $self->{lock}, EXCHANGE)) {
        return 'changed' if $! == ENOENT;
        $! == EINVAL || $! == ENOSYS or die "renameat2: $!\n";
        return 'changed' if id($self->{lock}) ne id($f) || !rename $p->{name}, $self->{lock};
    } elsif (id($p->{name}) ne id($f)) {
        renameat2($p->{name}, $self->{lock}, EXCHANGE) || $! != ENOENT
            || renameat2($p->{name}, $self->{lock}, NOREPLACE);
        $self->unpark;
        return 'changed';
    }
    my $held = $self->settle({ %$p, w => $p->{f}, moved => 1, postscript => $postscript, owner => (stat $f)[4] });
    unlink $p->{name};
    delete $self->{parked};
    return $held;
}

sub overdue {
    my ($hold) = @_;
    my $age = wall() - $hold->{sign};
    return $age > LATE_HOLD || $age < -1;
}

sub names {    # does the lock's name still name this hold, by inode and by content?
    my ($self, $hold) = @_;
    return id($self->{lock}) eq $hold->{id} && contents($hold->{f}, length $hold->{stamp}) eq $hold->{stamp};
}

sub settle {
    my ($self, $hold) = @_;
    while (1) {
        Time::HiRes::sleep(SETTLE);
        return 'changed' if !$self->names($hold);
        last if !overdue($hold);
        return RETRY if mono() > $self->{deadline};
        $hold->{sign} = renew($hold->{f});
    }
    $self->{hold} = $hold;
    return 'held';
}

# ------------------------------------------------------------------------------------------------ acquire, release

sub try {
    my ($self) = @_;
    $self->park;
    my $p = $self->{parked};
    $p->{sign} = renew($p->{f}) if abs(wall() - $p->{sign}) > 1;
    my $linked = link $p->{name}, $self->{lock};
    my $error = $! + 0;
    if (!$linked) {
        my $there = id($self->{lock});
        return $self->look if $there ne '' && $there ne $p->{id};
        if ($there eq '') {
            return 'changed' if $error == EEXIST;
            $error == ENOENT || $error == ESTALE or die 'link: ' . POSIX::strerror($error) . "\n";
            $self->unpark;
            return 'changed';
        }
    }
    my $hold = { %$p, w => $p->{f} };
    if (abs(wall() - $p->{sign}) > LATE_STAMP) {
        $hold->{sign} = renew($hold->{f});
        my $held = $self->settle($hold);
        $self->unpark if $held ne 'held';
        return $held;
    }
    $self->{hold} = $hold;
    return 'held';
}

sub acquire {    # returns whether the lock is held
    my ($self, $timeout) = @_;
    $self->{deadline} = mono() + $timeout;
    my ($pause, $again) = (50e-6, 0);
    while (1) {
        my $left = $self->{deadline} - mono();
        my $result = eval { $self->try };
        if (!defined $result) {
            $self->unpark;
            die $@;
        }
        if ($result eq 'held') {
            $self->take_back;
            return 1;
        }
        if ($result eq 'changed') {
            next if $left > 0 || ++$again <= 16;
            return 0;
        }
        return 0 if $left <= 0;
        $result = $pause if $pause < $result;
        Time::HiRes::sleep($left < $result ? $left : $result);
        $pause = $pause * 2 < RETRY ? $pause * 2 : RETRY;
    }
}

sub settle_overdue {    # returns whether the lock is held, and will be
    my ($self) = @_;
    my $hold = $self->{hold} or die "not held\n";
    while ($self->held && overdue($hold)) {
        $hold->{sign} = renew($hold->{f});
        Time::HiRes::sleep(SETTLE);
    }
    return $self->held;
}

sub release {    # returns whether the lock was held until now
    my ($self) = @_;
    my $kept = $self->settle_overdue;
    my $hold = delete $self->{hold};
    $kept &&= unlink $self->{lock};
    $self->unpark if !$kept || $hold->{noted};
    delete $self->{parked} if $hold->{moved};
    return $kept;
}

# Drops everything that the peer has: a hold becomes a dead holder's lock.
sub close {
    my ($self) = @_;
    delete $self->{hold};
    $self->unpark;
}

sub held {
    my ($self) = @_;
    return id($self->{lock}) eq $self->{hold}{id};
}

# ------------------------------------------------------------------------------------------------ the journal

sub unfinished {    # where a noted append began, if this journal has a part of it
    my ($postscript, $inode, $size) = @_;
    my ($of, $before, $after) = $postscript =~ /\Aappend=(\d+):(\d+):(\d+)\n/a or return undef;
    return $of == $inode && $size > $before && $size < $after ? $before : undef;
}

sub take_back {    # takes back what a killed append left, according to its writer's note
    my ($self) = @_;
    my $hold = $self->{hold};
    my $postscript = delete $hold->{postscript} // '';
    return if $postscript eq '';
    if (sysopen my $j, $self->{journal}, O_RDWR | SAFE) {
        my @s = stat $j;
        my $before = unfinished($postscript, @s[1, 7]);
        my $could = $hold->{owner} == 0 || $hold->{owner} == $s[4] || $s[2] & 022;
        truncate $j, $before if defined $before && $could;
    }
    truncate $hold->{w}, length $hold->{stamp};
}

sub line {    # the line of an entry; undef if it would not read back
    my ($kind, $path) = @_;
    return undef if $path eq '' || $path =~ /[\r\n\0]/ || $path ne trim($path) || $path =~ /\A#/;
    return undef if $kind eq 'changed' && $path =~ /\ADELETED /;
    return ($kind eq 'deleted' ? 'DELETED ' : '') . "$path\n";
}

sub append {    # appends these lines in one append, with or without a timestamp
    my ($self, $timeout, $lines, $stamp) = @_;
    while (1) {
        $self->acquire($timeout) or return 0;
        my $done = eval {
            $self->write_lines($lines);
            $self->write_stamp($stamp) if defined $stamp;
            1;
        };
        my ($error, $kept) = ($@, $self->release);
        next if !$kept;
        die $error if !$done;
        return 1;
    }
}

sub write_lines {
    my ($self, $lines) = @_;
    while (1) {
        my $j;
        if (!sysopen $j, $self->{journal}, O_RDWR | O_APPEND | SAFE) {
            $! == ENOENT or die "$self->{journal}: $!\n";
            my $p = $self->private;
            write_at($p->{f}, 0, "# codegraph-journal v1 0\n$lines") or die "$p->{name}: $!\n";
            my $made = renameat2($p->{name}, $self->{journal}, NOREPLACE);
            return if $made;
            unlink $p->{name};
            $! == EEXIST or die "renameat2: $!\n";
            next;
        }
        -f $j or die "$self->{journal}: no regular file\n";
        $self->write_end($j, $lines);
        return if id($self->{journal}) eq id($j);
    }
}

sub last_byte {
    my ($j, $size) = @_;
    sysseek $j, $size - 1, 0;
    sysread $j, my $last, 1;
    return $last;
}

sub sound {    # the content without NULs at the end, and without the line that they cut off
    my ($text) = @_;
    $text =~ s/[^\n]*\z// if $text =~ s/\0+\z//;
    return $text;
}

sub write_end {
    my ($self, $j, $lines) = @_;
    my $hold = $self->{hold};
    my $size = (stat $j)[7];
    my $last = $size ? last_byte($j, $size) : "\n";
    if ($last eq "\0") {
        $self->settle_overdue or die "lost\n";
        truncate $j, $size = length sound(contents($j)) or die "$self->{journal}: $!\n";
        $last = "\n";
    }
    my $bytes = $size == 0 ? "# codegraph-journal v1 0\n$lines" : $last eq "\n" ? $lines : "\n$lines";
    my $end = $size + length $bytes;
    my $crosses = int($size / 4096) != int(($end - 1) / 4096);
    if ($crosses) {
        $hold->{noted} = 1;
        my $note = sprintf "append=%d:%d:%d\n", (stat $j)[1], $size, $end;
        write_at($hold->{w}, length $hold->{stamp}, $note) or die "note: $!\n";
    }
    my $written = syswrite($j, $bytes) // -1;
    my $error = $!;
    truncate $j, $size if $written != length $bytes && $self->held && (stat $j)[7] == $size + ($written > 0 ? $written : 0);
    truncate $hold->{w}, length $hold->{stamp} if $crosses;
    $written == length $bytes or die "$self->{journal}: $error\n";
}

sub write_stamp {
    my ($self, $stamp) = @_;
    while (1) {
        sysopen my $j, $self->{journal}, O_RDWR | SAFE or die "$self->{journal}: $!\n";
        my $text = contents($j);
        if ($text =~ /\A# codegraph-journal v1 (\d+)\n/a && length $1 == length $stamp) {
            write_at($j, length '# codegraph-journal v1 ', $stamp) or die "$self->{journal}: $!\n";
            return;
        }
        my $size = length $text;
        $text =~ s/\A#[^\n]*(?:\n|\z)//;
        $text =~ s/(?<=[^\n])\z/\n/;
        my $p = $self->private;
        chmod +(stat $j)[2] & 07777, $p->{f};
        my $ready = write_at($p->{f}, 0, "# codegraph-journal v1 $stamp\n$text") && $p->{f}->sync;
        my $same = id($self->{journal}) eq id($j) && (stat $j)[7] == $size;
        if ($ready && $same && $self->settle_overdue && rename $p->{name}, $self->{journal}) {
            my $now = contents($j);
            write_at($p->{f}, (stat $p->{f})[7], substr $now, $size) if length $now > $size;
            return;
        }
        my $error = $!;
        unlink $p->{name};
        $self->held or die "lost\n";
        $ready or die "$self->{journal}: $error\n";
    }
}

sub number {    # ECMA-262's StringNumericLiteral, finite and above 0
    my ($text) = @_;
    my $value;
    if ($text =~ /\A[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\z/a) {
        $value = 0 + $text;
    } elsif ($text =~ /\A0(?:[xX]([0-9a-fA-F]+)|[oO]([0-7]+)|[bB]([01]+))\z/) {
        my ($digits, $base) = defined $1 ? ($1, 16) : defined $2 ? ($2, 8) : ($3, 2);
        $value = 0.0;
        $value = $value * $base + hex for split //, $digits;
    } else {
        return undef;
    }
    return $value > 0 && $value < 9**9**9 ? $value : undef;
}

sub at_rest {    # the journal's content without an append in progress
    my ($self, $j) = @_;
    my $text;
    for (1 .. 8) {
        $text = contents($j, (stat $j)[7]);
        return $text if $text =~ /(?:\A|[\n\0])\z/;
        my $lock = '';
        if (lstat $self->{lock}) {
            (-f _ && sysopen my $f, $self->{lock}, O_RDONLY | SAFE) or last;
            $lock = contents($f, 4096);
        }
        my $s = parse($lock);
        last if $s->{kind} eq 'foreign' || $s->{kind} eq 'shipped' && lives($s->{pid});
        my $before = unfinished($s->{postscript} // '', (stat $j)[1], length $text);
        return substr $text, 0, $before if defined $before;
        return $text if (stat $j)[7] == length $text;
    }
    $text =~ s/[^\n]*\z//;
    return $text;
}

sub read_journal {    # { timestamp, changed, deleted }; undef if there is no header
    my ($self) = @_;
    sysopen my $j, $self->{journal}, O_RDONLY | SAFE or die "$self->{journal}: $!\n";
    my ($before, $header) = ('');
    for (1 .. 16) {
        ($header) = contents($j, 64) =~ /\A([^\n]*\n?)/;
        last if $header eq $before;
        $before = $header;
    }
    my $text = sound($self->at_rest($j));
    substr($text, 0, length $header) = $header if $header =~ /\n/ && length $text >= length $header;
    return undef if $text =~ /\0/;
    ($header, my @lines) = split /\n/, $text;
    ($header // '') =~ /\A# codegraph-journal v1 (.*)/s or return undef;
    my $timestamp = number(trim($1)) // return undef;
    my %found = (timestamp => $timestamp, changed => [], deleted => []);
    my %known;
    for my $line (map { trim($_) } @lines) {
        next if $line eq '' || $line =~ /\A#/;
        my $kind = $line =~ s/\ADELETED // ? 'deleted' : 'changed';
        push @{ $found{$kind} }, $line if !$known{"$kind $line"}++;
    }
    return \%found;
}

1;
