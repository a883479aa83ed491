//! Random choices that can be repeated from a seed.

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// SplitMix64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Up to `longest` arbitrary bytes.
    pub fn bytes(&mut self, longest: usize) -> Vec<u8> {
        (0..self.below(longest + 1)).map(|_| self.next() as u8).collect()
    }

    /// 1 to `longest` characters of an ASCII alphabet.
    pub fn text(&mut self, alphabet: &str, longest: usize) -> String {
        let length = 1 + self.below(longest.max(1));
        (0..length)
            .map(|_| char::from(self.pick(alphabet.as_bytes())))
            .collect()
    }

    /// Up to `longest` characters from all over Unicode.
    pub fn wide_text(&mut self, longest: usize) -> String {
        let character = |random: &mut Random| {
            let within = random.pick(&[0x80, 0x3000, 0xfff0, 0x11_0000]);
            char::from_u32(random.below(within) as u32)
        };
        (0..self.below(longest + 1)).filter_map(|_| character(self)).collect()
    }
}
