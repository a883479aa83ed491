#!/usr/bin/perl
# Runs the test vectors (../vectors) on the third implementation.
#
#     vectors.pl LIVING       LIVING is the PID of a process that outlives this one

use strict;
use warnings;
use Cwd 'abs_path';
use Fcntl ':flock';
use File::Find;
use File::Temp;
use FindBin;
use JSON::PP;
use MIME::Base64;
use POSIX ();
use lib $FindBin::Bin;
use Peer;

my $VECTORS = abs_path("$FindBin::Bin/../vectors");
my $LOCK = 'changes.journal.lock';
my $SETTLE = 0.1;

# Anything else in a vector is a failure, so that it does not go unnoticed.
my %KNOWN = (
    stamps => [qw(text base64 kind pid nonce fields)],
    journals => [qw(text base64 timestamp changed deleted)],
    entries => [qw(path kind line)],
    appends => [qw(before append stamp after rewritten)],
    directories => [qw(files lock acquire)],
);
my @KNOWN_OF_FILES = qw(name text base64 age_s flock writer same_as type swept);
my @FIELDS = qw(since boot pidns timens start host flock);

sub text { defined $_[0] ? $_[0] : 'none' }

sub equal {
    my ($what, $found, $expected) = @_;
    text($found) eq text($expected) or die "$what: ${\text($found)}, not ${\text($expected)}\n";
}

sub only {
    my ($members, @known) = @_;
    my %known = map { ($_ => 1) } @known;
    $known{$_} or die "$_: not known\n" for keys %$members;
}

sub bytes {    # the bytes that a value stands for
    my ($value) = @_;
    return join '', map { bytes($_) } @$value if ref $value eq 'ARRAY';
    if (ref $value eq 'HASH') {
        return decode_base64($value->{base64}) if exists $value->{base64};
        return bytes($value->{text}) x ($value->{times} // 1);
    }
    my $copy = $value;
    utf8::encode($copy);
    return $copy;
}

sub put {
    my ($name, $content) = @_;
    open my $f, '>:raw', $name or die "$name: $!\n";
    print $f $content;
    close $f or die "$name: $!\n";
}

sub get {
    my ($name) = @_;
    open my $f, '<:raw', $name or die "$name: $!\n";
    local $/;
    return <$f> // '';
}

# ------------------------------------------------------------------------------------------ stamps and the journal

sub stamps {
    my ($v) = @_;
    my $s = Peer::parse(bytes($v));
    equal($_, $s->{$_}, $v->{$_}) for qw(kind pid nonce);
    equal("field $_", $s->{fields}{$_}, $v->{fields}{$_}) for @FIELDS;
    only($v->{fields} // {}, @FIELDS);
}

sub journals {
    my ($v, $peer) = @_;
    put('changes.journal', bytes($v));
    my $found = $peer->read_journal;
    equal('timestamp', $found && $found->{timestamp}, $v->{timestamp});
    my $hex = sub { join ' ', map { unpack 'H*', $_ } @_ };
    for my $kind (qw(changed deleted)) {
        equal($kind, $hex->(@{ $found->{$kind} // [] }), $hex->(map { bytes($_) } @{ $v->{$kind} // [] }));
    }
}

sub entries {
    my ($v) = @_;
    $v->{kind} =~ /\A(?:changed|deleted)\z/ or die "$v->{kind}: not known\n";
    equal('line', Peer::line($v->{kind}, bytes($v->{path})), defined $v->{line} ? bytes($v->{line}) : undef);
}

sub appends {
    my ($v, $peer) = @_;
    put('changes.journal', bytes($v->{before})) if defined $v->{before};
    open my $old, '<', 'changes.journal';    # stays open, so that its inode number is not reused
    my @lines = map { Peer::line(changed => bytes($_)) } @{ $v->{append} };
    $peer->append(5, join('', @lines), $v->{stamp}) or die "not acquired\n";
    equal('journal', get('changes.journal'), bytes($v->{after}));
    my $rewritten = defined $v->{before} && Peer::id($old) ne Peer::id('changes.journal');
    equal('rewritten', $rewritten ? 1 : 0, $v->{rewritten} ? 1 : 0) if exists $v->{rewritten};
}

# ------------------------------------------------------------------------------------------------------ directories

my %HERE;

sub fill {
    my ($text) = @_;
    $text =~ s/\{(\w+)\}/$HERE{$1} \/\/ "{$1}"/ge if defined $text;
    return $text;
}

sub make {    # returns what must stay open meanwhile
    my ($file) = @_;
    only($file, @KNOWN_OF_FILES);
    my ($name, $type, @open) = (fill($file->{name}), $file->{type} // '');
    if (exists $file->{same_as}) {
        link fill($file->{same_as}), $name or die "$name: $!\n";
    } elsif ($type eq 'symlink') {
        symlink 'nowhere', $name or die "$name: $!\n";
    } elsif ($type eq 'directory') {
        mkdir $name or die "$name: $!\n";
    } elsif ($type eq 'fifo') {
        POSIX::mkfifo($name, 0600) or die "$name: $!\n";
    } elsif ($type ne '') {
        die "$type: not known\n";
    } else {
        put($name, fill(bytes($file)));
        my $changed = Peer::wall() - $file->{age_s};
        Time::HiRes::utime($changed, $changed, $name);
    }
    if ($file->{flock}) {
        open my $f, '<', $name or die "$name: $!\n";
        flock $f, LOCK_EX or die "$name: $!\n";
        push @open, $f;
    }
    if ($file->{writer}) {
        open my $f, '+<', $name or die "$name: $!\n";
        push @open, $f;
    }
    return @open;
}

sub names {
    my @names;
    find({ no_chdir => 1, wanted => sub { push @names, $File::Find::name if $_ ne '.' } }, '.');
    return sort map { s{\A\./}{}r } @names;
}

sub check_acquire {    # returns whether it was acquired
    my ($peer, $expected) = @_;
    my ($before, $was) = (Peer::id($LOCK), !-l $LOCK && -f _ ? get($LOCK) : '');
    open my $old, '<', $LOCK if $was ne '';    # stays open, so that its inode number is not reused
    my $begun = Peer::mono();
    my $acquired = eval { $peer->acquire(0.3) };
    if (!$acquired) {
        equal('acquire', defined $acquired ? 'times out' : "refuses: $@" =~ s/: refused.*//sr, $expected);
        equal('inode', Peer::id($LOCK), $before);
        equal('lock', get($LOCK), $was) if $was ne '';
        return 0;
    }
    my ($took, $after) = (Peer::mono() - $begun, Peer::id($LOCK));
    my $how = $before eq '' ? 'links' : $before eq $after ? 'claims in place' : 'claims, and moves to another inode';
    equal('acquire', $how, $expected);
    die "$took s are too short for a settle\n" if $how ne 'links' && $took < $SETTLE;
    my $s = Peer::parse(get($LOCK));
    equal('stamp', "$s->{kind} $s->{pid}", "library $$");
    $peer->release or die "lost\n";
    return 1;
}

sub directories {
    my ($v, $peer) = @_;
    my @open = map { make($_) } @{ $v->{files} };
    my @made = names();
    my ($state, $s) = $peer->query;
    my $lock = $v->{lock};
    only($lock // {}, qw(state kind pid));
    equal('state', $state, $lock ? $lock->{state} : 'refused');
    equal('kind', $s->{kind}, $lock->{kind}) if $lock;
    equal('pid', $s->{pid} // 0, fill($lock->{pid}) // 0) if $lock;
    equal('names', join(' ', names()), join ' ', @made);
    my %swept = map { (fill($_->{name}) => 1) } grep { $_->{swept} } @{ $v->{files} };
    $swept{$LOCK} = 1 if check_acquire($peer, $v->{acquire});
    $peer->close;
    equal('names', join(' ', names()), join ' ', grep { !$swept{$_} } @made);
}

# ---------------------------------------------------------------------------------------------------------- running

sub main {
    my ($living) = @_;
    my $ended = open my $true, '-|', 'true';
    close $true;
    my $here = Peer::here();
    %HERE = (%$here, living => $living, dead => $ended, start => Peer::start_time($living));
    my %checks = (stamps => \&stamps, journals => \&journals, entries => \&entries, appends => \&appends);
    $checks{directories} = \&directories;
    my @files = map { m{([^/]*)\.json\z} } glob "$VECTORS/*.json";
    equal('files', join(' ', sort @files), join ' ', sort keys %checks);
    my ($count, @failures) = 0;
    for my $file (@files) {
        for my $v (@{ decode_json(get("$VECTORS/$file.json")) }) {
            my $dir = File::Temp->newdir;
            my $peer = Peer->new("$dir");
            $count++;
            eval {
                only($v, 'name', @{ $KNOWN{$file} });
                $checks{$file}->($v, $peer);
                1;
            } or push @failures, "$file: $v->{name}: $@";
            $peer->close;
            chdir '/';
        }
    }
    print @failures, "$count vectors, ${\scalar @failures} failures\n";
    return @failures ? 1 : 0;
}

exit main(@ARGV);
