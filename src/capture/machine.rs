//! The classic BPF machine: runs the programs that libpcap compiles.
//!
//! An accumulator, an index register, sixteen words of scratch memory, forward
//! jumps only, so that every program ends. A load beyond the captured bytes
//! rejects the packet, as in libpcap; the length a program asks for is the
//! *original* length of the packet, cut or not.
//!
//! | class | |
//! |---|---|
//! | `LD`, `LDX` | from the packet, the scratch memory, a constant, the length |
//! | `ST`, `STX` | to the scratch memory |
//! | `ALU` | `+ - * / & \| ^ % << >> neg` with a constant or the index |
//! | `JMP` | always, `==`, `>`, `>=`, any bit |
//! | `RET` | zero: no match |
//!
//! Programs are checked when they are made (known instructions, jumps and
//! scratch words in range), which leaves little to go wrong in the loop.

use std::fmt;

/// A checked program.
#[derive(Debug)]
pub(super) struct Program {
    instructions: Vec<Instruction>,
}

#[derive(Clone, Copy, Debug)]
struct Instruction {
    /// Class, size, mode, operation: see `op`.
    code: u16,
    /// Instructions to skip when a condition holds, and when it does not.
    jump: [u8; 2],
    /// A constant, an offset into the packet, an index into the scratch memory.
    k: u32,
}

/// A program that cannot be run on packets of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Unsupported {
    /// An instruction that is none, or leads astray.
    Instruction(String),
    /// Asks the kernel (direction, interface) about a live packet.
    Ancillary,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instruction(text) => {
                write!(f, "libpcap compiled an unknown instruction ({text})")
            }
            Self::Ancillary => {
                f.write_str("asks for what only the kernel knows, and captures do not keep")
            }
        }
    }
}

/// Instruction codes, by the names of `bpf.h`.
mod op {
    pub(super) const LD_W_ABS: u16 = 0x20;
    pub(super) const LD_H_ABS: u16 = 0x28;
    pub(super) const LD_B_ABS: u16 = 0x30;
    pub(super) const LD_W_IND: u16 = 0x40;
    pub(super) const LD_H_IND: u16 = 0x48;
    pub(super) const LD_B_IND: u16 = 0x50;
    pub(super) const LD_IMM: u16 = 0x00;
    pub(super) const LD_MEM: u16 = 0x60;
    pub(super) const LD_LEN: u16 = 0x80;
    pub(super) const LDX_IMM: u16 = 0x01;
    pub(super) const LDX_MEM: u16 = 0x61;
    pub(super) const LDX_LEN: u16 = 0x81;
    /// Four times the low half of a byte: the length of an IPv4 header.
    pub(super) const LDX_MSH: u16 = 0xb1;
    pub(super) const ST: u16 = 0x02;
    pub(super) const STX: u16 = 0x03;
    pub(super) const ALU: u16 = 0x04;
    pub(super) const JMP: u16 = 0x05;
    pub(super) const RET_K: u16 = 0x06;
    pub(super) const RET_A: u16 = 0x16;
    pub(super) const TAX: u16 = 0x07;
    pub(super) const TXA: u16 = 0x87;

    pub(super) const CLASS: u16 = 0x07;
    /// In `ALU` and `JMP`: with the index register instead of `k`.
    pub(super) const X: u16 = 0x08;
    pub(super) const OPERATION: u16 = 0xf0;

    pub(super) const ADD: u16 = 0x00;
    pub(super) const SUB: u16 = 0x10;
    pub(super) const MUL: u16 = 0x20;
    pub(super) const DIV: u16 = 0x30;
    pub(super) const OR: u16 = 0x40;
    pub(super) const AND: u16 = 0x50;
    pub(super) const LSH: u16 = 0x60;
    pub(super) const RSH: u16 = 0x70;
    pub(super) const NEG: u16 = 0x80;
    pub(super) const MOD: u16 = 0x90;
    pub(super) const XOR: u16 = 0xa0;

    pub(super) const JA: u16 = 0x00;
    pub(super) const JEQ: u16 = 0x10;
    pub(super) const JGT: u16 = 0x20;
    pub(super) const JGE: u16 = 0x30;
    pub(super) const JSET: u16 = 0x40;
}

/// Words of scratch memory.
const SCRATCH: usize = 16;
/// Offsets from here on are questions to the Linux kernel.
const ANCILLARY: u32 = 0xffff_f000;

impl Program {
    /// From instructions as libpcap's crate prints them: `code jt jf k`.
    pub(super) fn new(text: impl Iterator<Item = String>) -> Result<Self, Unsupported> {
        let instructions = text
            .map(|text| parse(&text).ok_or(Unsupported::Instruction(text)))
            .collect::<Result<Vec<_>, _>>()?;
        for (at, instruction) in instructions.iter().enumerate() {
            check(*instruction, instructions.len() - at - 1)?;
        }
        Ok(Self { instructions })
    }

    /// Runs on the captured bytes of a packet that had `original_len`.
    pub(super) fn matches(&self, data: &[u8], original_len: u32) -> bool {
        self.run(data, original_len).is_some_and(|kept| kept != 0)
    }

    /// `None` where libpcap's machine gives up with 0: a load beyond the data,
    /// a division by zero.
    fn run(&self, data: &[u8], original_len: u32) -> Option<u32> {
        let mut a: u32 = 0;
        let mut x: u32 = 0;
        let mut scratch = [0; SCRATCH];
        let mut next = self.instructions.iter();
        loop {
            let &Instruction { code, jump, k } = next.next()?;
            match code {
                op::LD_W_ABS => a = word(data, u64::from(k))?,
                op::LD_H_ABS => a = half(data, u64::from(k))?,
                op::LD_B_ABS => a = byte(data, u64::from(k))?,
                op::LD_W_IND => a = word(data, u64::from(x) + u64::from(k))?,
                op::LD_H_IND => a = half(data, u64::from(x) + u64::from(k))?,
                op::LD_B_IND => a = byte(data, u64::from(x) + u64::from(k))?,
                op::LDX_MSH => x = (byte(data, u64::from(k))? & 0xf) << 2,
                op::LD_IMM => a = k,
                op::LDX_IMM => x = k,
                op::LD_LEN => a = original_len,
                op::LDX_LEN => x = original_len,
                op::LD_MEM => a = *scratch.get(k as usize)?,
                op::LDX_MEM => x = *scratch.get(k as usize)?,
                op::ST => *scratch.get_mut(k as usize)? = a,
                op::STX => *scratch.get_mut(k as usize)? = x,
                op::TAX => x = a,
                op::TXA => a = x,
                op::RET_K => return Some(k),
                op::RET_A => return Some(a),
                _ => {
                    let operand = if code & op::X == 0 { k } else { x };
                    if code & op::CLASS == op::ALU {
                        a = calculate(code & op::OPERATION, a, operand)?;
                        continue;
                    }
                    let holds = match code & op::OPERATION {
                        op::JA => {
                            skip(&mut next, k as usize);
                            continue;
                        }
                        op::JEQ => a == operand,
                        op::JGT => a > operand,
                        op::JGE => a >= operand,
                        _ => a & operand != 0,
                    };
                    let [then, otherwise] = jump;
                    skip(&mut next, usize::from(if holds { then } else { otherwise }));
                }
            }
        }
    }
}

fn skip(next: &mut std::slice::Iter<'_, Instruction>, count: usize) {
    *next = next.as_slice().get(count..).unwrap_or_default().iter();
}

fn calculate(operation: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match operation {
        op::ADD => a.wrapping_add(operand),
        op::SUB => a.wrapping_sub(operand),
        op::MUL => a.wrapping_mul(operand),
        op::DIV => a.checked_div(operand)?,
        op::MOD => a.checked_rem(operand)?,
        op::AND => a & operand,
        op::OR => a | operand,
        op::XOR => a ^ operand,
        op::LSH => a.checked_shl(operand).unwrap_or(0),
        op::RSH => a.checked_shr(operand).unwrap_or(0),
        _ => a.wrapping_neg(),
    })
}

fn bytes<const N: usize>(data: &[u8], at: u64) -> Option<[u8; N]> {
    let at = usize::try_from(at).ok()?;
    data.get(at..)?.first_chunk().copied()
}

fn word(data: &[u8], at: u64) -> Option<u32> {
    bytes(data, at).map(u32::from_be_bytes)
}

fn half(data: &[u8], at: u64) -> Option<u32> {
    bytes(data, at).map(|bytes| u32::from(u16::from_be_bytes(bytes)))
}

fn byte(data: &[u8], at: u64) -> Option<u32> {
    bytes(data, at).map(|[byte]| u32::from(byte))
}

fn parse(text: &str) -> Option<Instruction> {
    let mut numbers = text.split(' ');
    let code = numbers.next()?.parse().ok()?;
    let jump = [numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?];
    let k = numbers.next()?.parse().ok()?;
    numbers
        .next()
        .is_none()
        .then_some(Instruction { code, jump, k })
}

/// `left`: how many instructions follow.
fn check(instruction: Instruction, left: usize) -> Result<(), Unsupported> {
    let Instruction { code, jump, k } = instruction;
    let known = match code {
        op::LD_W_ABS | op::LD_H_ABS | op::LD_B_ABS if k >= ANCILLARY => {
            return Err(Unsupported::Ancillary);
        }
        op::LD_W_ABS | op::LD_H_ABS | op::LD_B_ABS => true,
        op::LD_W_IND | op::LD_H_IND | op::LD_B_IND | op::LDX_MSH => true,
        op::LD_IMM | op::LDX_IMM | op::LD_LEN | op::LDX_LEN => true,
        op::TAX | op::TXA | op::RET_K | op::RET_A => true,
        op::LD_MEM | op::LDX_MEM | op::ST | op::STX => (k as usize) < SCRATCH,
        _ => match code & op::CLASS {
            op::ALU => matches!(
                code & !op::CLASS & !op::X,
                op::ADD
                    | op::SUB
                    | op::MUL
                    | op::DIV
                    | op::OR
                    | op::AND
                    | op::LSH
                    | op::RSH
                    | op::NEG
                    | op::MOD
                    | op::XOR
            ),
            op::JMP => match code & !op::CLASS & !op::X {
                op::JA => (k as usize) < left,
                op::JEQ | op::JGT | op::JGE | op::JSET => {
                    jump.iter().all(|&skip| usize::from(skip) < left)
                }
                _ => false,
            },
            _ => false,
        },
    };
    // A program must end with an answer.
    let answers = left > 0 || matches!(code, op::RET_K | op::RET_A);
    if known && answers {
        return Ok(());
    }
    let [then, otherwise] = jump;
    Err(Unsupported::Instruction(format!(
        "{code} {then} {otherwise} {k}"
    )))
}
