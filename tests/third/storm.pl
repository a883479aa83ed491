#!/usr/bin/perl
# The third implementation, with the interface that the storms (../storm/second.rs) expect.
#
#     storm.pl DIR PREFIX < PATHS     appends PREFIX/path for each line, stamps each tenth, and prints `ack ENTRY`
#     storm.pl --hold N DIR ROOT      holds N times, with ROOT/marker and ROOT/counter; prints `held START END` or `clash`
#     storm.pl --keep DIR             prints `acquired`, and holds until its standard input ends or it is killed

use strict;
use warnings;
use Fcntl;
use FindBin;
use lib $FindBin::Bin;
use Peer;

use constant PATIENCE => 60;

sub acquire {
    my ($peer) = @_;
    $peer->acquire(PATIENCE) or die "not acquired in ${\PATIENCE} s\n";
}

sub now { int(1e9 * Peer::mono()) }

sub write_all {
    my ($peer, $prefix) = @_;
    while (my $path = <STDIN>) {
        chomp $path;
        my $stamp = $. % 10 ? undef : int(1000 * Peer::wall());
        $peer->append(PATIENCE, Peer::line(changed => "$prefix/$path"), $stamp) or die "not acquired\n";
        print "ack $prefix/$path\n";
    }
}

sub hold {
    my ($peer, $count, $root) = @_;
    for (1 .. $count) {
        acquire($peer);
        my $start = now();
        my $alone = sysopen my $marker, "$root/marker", O_CREAT | O_EXCL;
        print "clash\n" if !$alone;
        my $counted = Peer::slurp("$root/counter") || 0;
        select undef, undef, undef, 0;    # gives others a chance to run, which they must not
        open my $counter, '>', "$root/counter" or die "counter: $!\n";
        print $counter $counted + 1;
        close $counter or die "counter: $!\n";
        unlink "$root/marker" if $alone;
        print "held $start ", now(), "\n";
        $peer->release or die "lost\n";
    }
}

sub keep {
    my ($peer) = @_;
    acquire($peer);
    print "acquired\n";
    1 while <STDIN>;
}

$| = 1;
my ($mode, @words) = @ARGV;
if ($mode eq '--hold') {
    my ($count, $dir, $root) = @words;
    my $peer = Peer->new($dir);
    hold($peer, $count, $root);
    $peer->close;
} elsif ($mode eq '--keep') {
    my $peer = Peer->new(@words);
    keep($peer);
    $peer->close;
} else {
    my $peer = Peer->new($mode);
    write_all($peer, @words);
    $peer->close;
}
