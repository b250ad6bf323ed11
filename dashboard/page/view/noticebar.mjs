// NoticeBar shows the problems of the program's own metrics at the top of the page. A click on a
// notice opens the card of its family.

import { byId, element, setChildren, setText } from './dom.mjs';

export class NoticeBar {
  constructor(session) {
    this.session = session;
    this.section = byId('notices');
    this.list = this.section.firstElementChild;
    this.notices = [];
  }

  draw() {
    this.notices = this.session.frame?.notices ?? [];
    this.section.hidden = !this.notices.length;
    setChildren(this.list, this.notices.length, () => this.newNotice());
    this.notices.forEach(({ level, text, family }, i) => {
      const item = this.list.children[i];
      item.className = level;
      setText(item.children[0], text);
      item.children[1].hidden = !family;
      item.children[1].setAttribute('aria-label', `Show ${family}`);
    });
  }

  newNotice() {
    const show = element('button', { textContent: 'Show' });
    const item = element('li', {}, element('span'), show);
    show.onclick = () => {
      const { family, where } = this.notices[[...this.list.children].indexOf(item)];
      this.session.open(family, where ?? []);
    };
    return item;
  }
}
