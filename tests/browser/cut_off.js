/* What of the demo cannot be seen, in one language: without scrolling if it is about a call, or at all. */
async (language) => {
    if (document.documentElement.lang !== language) document.querySelector('#language').click();
    for (let frames = 0; frames < 2; frames += 1) await new Promise(requestAnimationFrame);
    scrollTo(0, 0);
    const faults = [];
    const [width, height] = [document.documentElement.clientWidth, innerHeight];
    if (document.documentElement.scrollWidth > width) faults.push(`the page is ${document.documentElement.scrollWidth} wide`);
    const root = document.querySelector('dialog[open]') ?? document;
    const named = (element) => `${element.id || element.className || element.tagName}: ${element.textContent.trim().slice(0, 30)}`;
    const isShown = (element) => element.checkVisibility() && !element.closest('.unseen');
    for (const element of root.querySelectorAll('button, input, select, h1, h2, .avatar, .tile b, .status, .meter, .pill, dd')) {
        if (!isShown(element)) continue;
        const box = element.getBoundingClientRect();
        if (box.left < -0.5 || box.right > width + 0.5) faults.push(`beside the screen, ${named(element)}`);
        const isFixed = (inner) => getComputedStyle(inner).position === 'fixed'; // nothing around cuts it off
        for (let [inner, around] = [element, element.parentElement]; around && !isFixed(inner); [inner, around] = [around, around.parentElement]) {
            const {overflowX, overflowY} = getComputedStyle(around);
            const frame = around.getBoundingClientRect();
            const isCut = (overflow, from, to, least, most) => overflow !== 'visible' && (from < least - 1 || to > most + 1)
                && !(['auto', 'scroll'].includes(overflow) && from + around.scrollTop >= least - 1);
            if (isCut(overflowY, box.top, box.bottom, frame.top, frame.bottom)) faults.push(`cut by ${named(around)}, ${named(element)}`);
            if (isCut(overflowX, box.left, box.right, frame.left, frame.right)) faults.push(`cut at a side by ${named(around)}, ${named(element)}`);
        }
    }
    for (const element of root.querySelectorAll('.card button, .card .figures > *')) {
        const card = element.closest('.card').getBoundingClientRect();
        const box = element.getBoundingClientRect();
        if (getComputedStyle(element.parentElement).position === 'fixed' || !isShown(element)) continue;
        if (box.left < card.left + 1 || box.right > card.right - 1) faults.push(`beside its card, ${named(element)}`);
    }
    for (const element of root.querySelectorAll('button')) {
        const text = element.querySelector('span');
        if (!isShown(element) || !text) continue;
        const [inner, outer] = [text, element].map((one) => one.getBoundingClientRect());
        if (inner.left < outer.left - 0.5 || inner.right > outer.right + 0.5) faults.push(`its text is wider, ${named(element)}`);
        const lines = document.createRange();
        lines.selectNodeContents(text);
        if (lines.getClientRects().length > 1) faults.push(`its text breaks, ${named(element)}`);
    }
    const [at] = root.querySelectorAll('#timeline .at');
    if (at && isShown(at)) { // however long the time takes that is written there
        const [text, words] = [at.textContent, document.createRange()];
        at.textContent = '9999 ms';
        words.selectNodeContents(at);
        const isWider = words.getBoundingClientRect().width > at.getBoundingClientRect().width + 0.5;
        if (isWider || words.getClientRects().length > 1) faults.push('a long time does not fit into its line');
        at.textContent = text;
    }
    for (const element of root === document ? document.querySelectorAll('.controls button, .tile .avatar, .tile b, .tile .status') : []) {
        if (!isShown(element)) continue;
        const box = element.getBoundingClientRect();
        if (box.top < 0 || box.bottom > height) faults.push(`not on the screen, ${named(element)}`);
        if (element.matches('button') && (box.height < 44 || box.width < 44)) faults.push(`too small for a thumb, ${named(element)}`);
    }
    return faults;
}
