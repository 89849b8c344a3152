//! Opcodes that call what was imported, or give state to the result.

use super::*;

impl Machine<'_> {
    pub(super) fn call(&mut self, opcode: u8, offset: u64) -> Result<()> {
        let mut keywords = None;
        let (kind, callable, args) = match opcode {
            b'R' | 0x81 => {
                let args = self.pop()?;
                let kind = match opcode {
                    b'R' => CallKind::Reduce,
                    _ => CallKind::New,
                };
                (kind, self.pop()?, args)
            }
            0x92 => {
                keywords = Some(self.pop()?);
                let args = self.pop()?;
                (CallKind::New, self.pop()?, args)
            }
            b'i' => {
                let module = self.line()?;
                let name = self.line()?;
                let callable = self.global(&module, &name, offset)?;
                let from = self.pop_mark()?;
                self.push_tuple(from)?;
                (CallKind::Instance, callable, self.pop()?)
            }
            _ => {
                let from = self.pop_mark()?;
                let Some(callable) = self.stack.get(from).copied() else {
                    self.fault(underflow())?;
                    return self.push(Item::ABSENT);
                };
                self.push_tuple(from.saturating_add(1))?;
                let args = self.pop()?;
                (CallKind::Instance, self.pop().unwrap_or(callable), args)
            }
        };
        self.check_callable(callable)?;
        self.count()?;
        let item = Item::new(Tag::Call, self.graph.calls.len() as u64);
        self.graph.calls.push(Call {
            callable,
            args,
            state: Item::ABSENT,
            offset,
            kind,
            extra: 0,
        });
        if keywords.is_some() {
            self.extra(item)?.keywords = keywords;
        }
        self.push(item)
    }

    fn check_callable(&mut self, callable: Item) -> Result<()> {
        match callable.tag() {
            Tag::Global => {
                if let Some(global) = self.graph.globals.get_mut(callable.index()) {
                    global.is_called = true;
                }
                Ok(())
            }
            // The result of a call may be a function, that of a persistent id a class.
            Tag::Call | Tag::Persistent => Ok(()),
            _ => self.fault(self.wrong_target("calls", callable)),
        }
    }

    pub(super) fn build(&mut self, offset: u64) -> Result<()> {
        let state = self.pop()?;
        let target = self.peek()?;
        if self.trail.is_some() {
            self.follow_build(target, state, offset)?;
        }
        match target.tag() {
            Tag::Call => {
                if let Some(call) = self.graph.calls.get_mut(target.index()) {
                    call.state = state;
                }
                Ok(())
            }
            // A class or function takes attributes; they mean nothing here.
            Tag::Global | Tag::Persistent => Ok(()),
            _ => self.fault(self.wrong_target("gives state to", target)),
        }
    }
}
