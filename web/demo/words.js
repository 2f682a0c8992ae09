/** What the demo says, in English and Chinese. */

const en = {
  headline: 'Hear each other.', lead: 'A voice call through Tieline, from one tab to another or across the room.',
  yourName: 'Your name', roomLabel: 'Room', enter: 'Come in',
  doorHint: 'Open this page twice, with two names in one room, and ring.', check: 'Try your microphone', hall: 'Calls in this room',
  people: 'In this room', you: 'You', talkAll: 'Talk with everybody', stopAll: 'Stop talking', invite: 'Copy an invitation', copied: 'Copied',
  ring: 'Ring', ringName: 'Ring {name}', online: 'here', away: 'away for a moment', talking: 'in a call', unknown: 'unknown',
  recent: 'Calls', inCall: 'called you', outCall: 'you called', missedCall: 'missed', missedCount: '{count} missed', ringBack: 'Ring {name} back',
  notifyMe: 'Tell me of calls', notified: 'You are told of calls',
  idleTitle: 'Nobody is on the line', idleText: 'Ring somebody in the room, or wait for a call.', waitingText: 'Whoever clicks “Talk with everybody” joins you. Your microphone is on.', aloneText: 'You are alone here. Send somebody the invitation, or open a second tab.',
  ringAgain: 'Ring again', accept: 'Accept', decline: 'Decline', mute: 'Mute', unmute: 'Unmute', hangup: 'Hang up', cancel: 'Cancel', leave: 'Leave',
  calling: 'calling …', ringing: 'ringing …', waitsForThem: 'away; it rings when {name} is back', called: 'is calling you', muted: 'muted', mutedThere: 'muted', live: 'live', qualityPoor: 'poor line', qualityLost: 'nothing comes through', connecting: 'connecting …', connected: 'connected', interrupted: 'looking for the connection …', waiting: 'Waiting for others …',
  connection: 'Connection', lastConnection: 'The last connection', rtt: 'Round trip', jitter: 'Jitter', lost: 'Lost', plot: 'Round trip time and jitter of the last minute',
  signaling: 'Signaling', timelineHint: 'Every message of a call appears here, with the time it took.', host: 'direct', prflx: 'direct', srflx: 'through NAT', relay: 'relayed',
  lineOpen: 'connected', lineChecking: 'checking …', lineReconnecting: 'reconnecting …', lineClosed: 'disconnected',
  ended: 'The call has ended', noMicrophone: 'The microphone cannot be used.',
  micRefused: 'This page may not use the microphone. Click the lock in the address bar (or the sign beside it), allow the microphone, and try again.',
  micMissing: 'No microphone was found. Plug one in or switch it on, and try again.',
  micTaken: 'The microphone is there, but gives no sound: another program may be using it. Close that, and try again.', needsHttps: 'A browser gives a page the microphone over HTTPS or on localhost only.',
  needsName: 'Tell your name first.', needsRoom: 'Name a room first.',
  noEntry: 'Tieline could not be reached. Is it running?', elsewhereTitle: 'You are here already', elsewhereText: 'Another tab of this browser is in with your name. If you use this one, the other is disconnected, and a call in it ends.',
  replacedTitle: 'You are somewhere else now', replacedText: 'You have come in in another tab or on another device, so this tab is disconnected.', useThisTab: 'Use this tab instead',
  closedTitle: 'Disconnected', closedText: 'Nobody can reach you here.', comeBack: 'Come back', closed: 'The connection has ended: {reason}.',
  disconnected: 'The application has disconnected you.', putOut: 'The application has put you out of this room.', says: 'The application says: {text}',
  sessionLost: 'The connection was lost, and a new session has begun: calls that were running have ended.', dismiss: 'Dismiss', blocked: 'Click anywhere to hear the call.', voiceFull: 'Six are talking already, which is the most. Try again when somebody has left.',
  sound: 'Sound', soundTitle: 'Microphone and speaker', microphone: 'Microphone', speaker: 'Speaker', volume: 'Volume', yourLevel: 'How loud you are', levelOf: 'How loud {name} is',
  speakUp: 'Say something: the bar shows how loud you are. Nobody else hears it.', heardYou: 'Your microphone works.', playTone: 'Play a tone', done: 'Done', browsersChoice: 'As the system says', unnamed: 'Unnamed',
  reasons: {
    hangup: 'Hung up', decline: 'Declined', busy: '{name} is talking to somebody', cancel: 'Cancelled', missed: 'Missed call from {name}', timeout: 'No answer', disconnected: '{name} is gone', cameAnew: '{name} came in anew, so the call ended',
    left: '{name} has left', failed: 'No connection came about', 'no-microphone': '{name} has no microphone', noMicrophoneHere: 'You have no microphone', BAD_MESSAGE: 'Nobody can be rung so', TARGET_OFFLINE: '{name} is not here', NOT_IN_SAME_ROOM: '{name} is not in this room',
    NO_VOICE_PERMISSION: 'You may not call', NO_MATCHING_OFFER: 'The call was over already', closed: 'Disconnected', replaced: '{name} calls anew',
  },
};

const zh = {
  headline: '听见彼此。', lead: '通过 Tieline 打一个语音电话：两个标签页之间，或者两个房间之间。',
  yourName: '你的名字', roomLabel: '房间', enter: '进入',
  doorHint: '用两个名字在同一房间打开本页两次，然后呼叫。', check: '试一试麦克风', hall: '本房间的通话',
  people: '房间成员', you: '你', talkAll: '与所有人通话', stopAll: '离开通话', invite: '复制邀请链接', copied: '已复制',
  ring: '呼叫', ringName: '呼叫 {name}', online: '在线', away: '暂时离开', talking: '通话中', unknown: '未知',
  recent: '通话记录', inCall: '来电', outCall: '呼出', missedCall: '未接', missedCount: '{count} 个未接来电', ringBack: '回拨 {name}',
  notifyMe: '来电通知', notified: '已开启来电通知',
  idleTitle: '当前没有通话', idleText: '呼叫房间里的人，或等待来电。', waitingText: '其他人点击“与所有人通话”即可加入。你的麦克风已打开。', aloneText: '房间里只有你。发送邀请链接，或再打开一个标签页。',
  ringAgain: '再次呼叫', accept: '接听', decline: '拒绝', mute: '静音', unmute: '取消静音', hangup: '挂断', cancel: '取消', leave: '离开',
  calling: '正在呼叫……', ringing: '对方响铃中……', waitsForThem: '对方暂时离开；{name} 回来后会响铃', called: '来电', muted: '已静音', mutedThere: '对方已静音', live: '正在发送声音', qualityPoor: '线路较差', qualityLost: '没有声音传来', connecting: '正在连接……', connected: '已接通', interrupted: '正在恢复连接……', waiting: '等待其他人……',
  connection: '连接', lastConnection: '上一次连接', rtt: '往返时延', jitter: '抖动', lost: '丢包', plot: '最近一分钟的往返时延与抖动',
  signaling: '信令', timelineHint: '通话的每条消息及其用时会显示在这里。', host: '直连', prflx: '直连', srflx: '穿越 NAT', relay: '中继',
  lineOpen: '已连接', lineChecking: '正在检查……', lineReconnecting: '正在重连……', lineClosed: '已断开',
  ended: '通话已结束', noMicrophone: '无法使用麦克风。',
  micRefused: '此页面未获准使用麦克风。请点击地址栏中的锁形图标（或旁边的图标），允许使用麦克风，然后重试。',
  micMissing: '没有找到麦克风。请插入或打开麦克风，然后重试。',
  micTaken: '麦克风没有声音：可能正被其他程序占用。请关闭该程序，然后重试。', needsHttps: '浏览器只在 HTTPS 或 localhost 下允许使用麦克风。',
  needsName: '请先输入你的名字。', needsRoom: '请先输入房间名。',
  noEntry: '无法连接 Tieline，它在运行吗？', elsewhereTitle: '你已经在这里了', elsewhereText: '此浏览器的另一个标签页正在使用你的名字。如果改用此标签页，另一个会断开，其中的通话也会结束。',
  replacedTitle: '你已在别处进入', replacedText: '你在另一个标签页或设备上进入了，因此此标签页已断开。', useThisTab: '改用此标签页',
  closedTitle: '已断开', closedText: '别人无法在这里找到你。', comeBack: '返回', closed: '连接已结束：{reason}。',
  disconnected: '应用已将你断开。', putOut: '应用已将你移出此房间。', says: '应用消息：{text}',
  sessionLost: '连接曾中断，已开始新的会话：进行中的通话已结束。', dismiss: '关闭提示', blocked: '点击任意处以收听通话。', voiceFull: '已有六人在通话，这是上限。有人离开后再试。',
  sound: '声音', soundTitle: '麦克风与扬声器', microphone: '麦克风', speaker: '扬声器', volume: '音量', yourLevel: '你的音量', levelOf: '{name} 的音量',
  speakUp: '请说话：音量条会显示你的声音大小。别人听不到。', heardYou: '你的麦克风正常。', playTone: '播放提示音', done: '完成', browsersChoice: '系统默认', unnamed: '未命名',
  reasons: {
    hangup: '已挂断', decline: '已拒绝', busy: '{name} 正在通话', cancel: '已取消', missed: '未接来电：{name}', timeout: '无人接听', disconnected: '{name} 已离线', cameAnew: '{name} 重新进入，通话已结束',
    left: '{name} 已离开', failed: '未能建立连接', 'no-microphone': '{name} 没有麦克风', noMicrophoneHere: '你没有麦克风', BAD_MESSAGE: '无法这样呼叫', TARGET_OFFLINE: '{name} 不在线', NOT_IN_SAME_ROOM: '{name} 不在此房间',
    NO_VOICE_PERMISSION: '你没有呼叫权限', NO_MATCHING_OFFER: '通话已经结束', closed: '已断开', replaced: '{name} 重新呼叫',
  },
};

const LANGUAGES = { en, zh };

export let language = 'en';

export function speak(wanted) {
  language = wanted?.startsWith('zh') ? 'zh' : 'en';
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll('[data-word]')) element.textContent = word(element.dataset.word);
  for (const element of document.querySelectorAll('[data-word-label]')) element.setAttribute('aria-label', word(element.dataset.wordLabel));
  document.getElementById('timeline').dataset.hint = word('timelineHint');
}

/** A word or sentence; `{name}` in it is replaced. */
export function word(key, values = {}) {
  return (LANGUAGES[language][key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

/** Why a call ended, as a sentence; a reason of the application's own stands for itself. `member`: whether they are here. */
export function reasonWord(reason, name, { by } = {}, member = undefined) {
  const isBack = reason === 'disconnected' && member?.status === 'online';
  const isMine = reason === 'no-microphone' && by === 'me';
  const key = isBack ? 'cameAnew' : isMine ? 'noMicrophoneHere' : reason;
  return (LANGUAGES[language].reasons[key] ?? reason).replace('{name}', name);
}
