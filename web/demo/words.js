/** What the demo says, in English and Chinese. */

const en = {
  headline: 'Hear each other.', lead: 'A voice call through Tieline, from one tab to another or across the room.',
  yourName: 'Your name', roomLabel: 'Room', enter: 'Come in',
  doorHint: 'Open this page twice, with two names in one room, and ring.',
  people: 'In this room', you: 'You', talkAll: 'Talk with everybody', stopAll: 'Leave the conversation', invite: 'Copy an invitation', copied: 'Copied',
  ring: 'Ring', ringName: 'Ring {name}', online: 'here', away: 'away for a moment',
  idleTitle: 'Nobody is on the line', idleText: 'Ring somebody in the room, or wait for a call.', aloneText: 'You are alone here. Send somebody the invitation, or open a second tab.',
  ringAgain: 'Ring again', accept: 'Accept', decline: 'Decline', mute: 'Mute', unmute: 'Unmute', hangup: 'Hang up', cancel: 'Cancel', leave: 'Leave',
  calling: 'calling …', rings: 'ringing …', awaited: 'is away, and rung when back', called: 'is calling you', connecting: 'connecting …', connected: 'connected', interrupted: 'looking for the connection …', waiting: 'Waiting for others …',
  connection: 'Connection', lastConnection: 'The last connection', rtt: 'Round trip', jitter: 'Jitter', lost: 'Lost', plot: 'Round trip time and jitter of the last minute',
  signaling: 'Signaling', timelineHint: 'Every message of a call appears here, with the time it took.', host: 'direct', prflx: 'direct', srflx: 'through NAT', relay: 'relayed',
  lineOpen: 'connected', lineReconnecting: 'reconnecting …', lineClosed: 'disconnected',
  ended: 'The call has ended', noMicrophone: 'There is no microphone, or it was not allowed.', needsHttps: 'A browser gives a page the microphone over HTTPS or on localhost only.',
  needsName: 'Tell your name first.', needsRoom: 'Name a room first.',
  noEntry: 'Tieline could not be reached. Is it running?', replaced: 'You have come in somewhere else; this tab is disconnected.', closed: 'The connection has ended: {reason}. Reload to come back.',
  sessionLost: 'The connection was lost, and a new session has begun: calls that were running have ended.', dismiss: 'Dismiss', blocked: 'Click anywhere to hear the call.', voiceFull: 'Six is the most that can talk in one room.',
  reasons: {
    hangup: 'Hung up', decline: 'Declined', busy: '{name} is talking to somebody', cancel: 'Cancelled', missed: 'Missed call from {name}', timeout: 'No answer', disconnected: '{name} is gone',
    left: '{name} has left', failed: 'No connection came about', 'no-microphone': 'No microphone', TARGET_OFFLINE: '{name} is not here', NOT_IN_SAME_ROOM: '{name} is not in this room',
    NO_VOICE_PERMISSION: 'You may not call', NO_MATCHING_OFFER: 'The call was over already', closed: 'Disconnected', replaced: '{name} calls anew',
  },
};

const zh = {
  headline: '听见彼此。', lead: '通过 Tieline 打一个语音电话：两个标签页之间，或者两个房间之间。',
  yourName: '你的名字', roomLabel: '房间', enter: '进入',
  doorHint: '用两个名字在同一房间打开本页两次，然后呼叫。',
  people: '房间成员', you: '你', talkAll: '与所有人通话', stopAll: '离开通话', invite: '复制邀请链接', copied: '已复制',
  ring: '呼叫', ringName: '呼叫 {name}', online: '在线', away: '暂时离开',
  idleTitle: '当前没有通话', idleText: '呼叫房间里的人，或等待来电。', aloneText: '房间里只有你。发送邀请链接，或再打开一个标签页。',
  ringAgain: '再次呼叫', accept: '接听', decline: '拒绝', mute: '静音', unmute: '取消静音', hangup: '挂断', cancel: '取消', leave: '离开',
  calling: '正在呼叫……', rings: '对方正在振铃……', awaited: '暂时离开，回来后振铃', called: '来电', connecting: '正在连接……', connected: '已接通', interrupted: '正在恢复连接……', waiting: '等待其他人……',
  connection: '连接', lastConnection: '上一次连接', rtt: '往返时延', jitter: '抖动', lost: '丢包', plot: '最近一分钟的往返时延与抖动',
  signaling: '信令', timelineHint: '通话的每条消息及其用时会显示在这里。', host: '直连', prflx: '直连', srflx: '穿越 NAT', relay: '中继',
  lineOpen: '已连接', lineReconnecting: '正在重连……', lineClosed: '已断开',
  ended: '通话已结束', noMicrophone: '没有麦克风，或未获许可。', needsHttps: '浏览器只在 HTTPS 或 localhost 下允许使用麦克风。',
  needsName: '请先输入你的名字。', needsRoom: '请先输入房间名。',
  noEntry: '无法连接 Tieline，它在运行吗？', replaced: '你已在别处进入；此标签页已断开。', closed: '连接已结束：{reason}。刷新页面即可返回。',
  sessionLost: '连接曾中断，已开始新的会话：进行中的通话已结束。', dismiss: '关闭提示', blocked: '点击任意处以收听通话。', voiceFull: '一个房间最多六人通话。',
  reasons: {
    hangup: '已挂断', decline: '已拒绝', busy: '{name} 正在通话', cancel: '已取消', missed: '未接来电：{name}', timeout: '无人接听', disconnected: '{name} 已离线',
    left: '{name} 已离开', failed: '未能建立连接', 'no-microphone': '没有麦克风', TARGET_OFFLINE: '{name} 不在线', NOT_IN_SAME_ROOM: '{name} 不在此房间',
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

/** Why a call ended, as a sentence; a reason of the application's own stands for itself. */
export function reasonWord(reason, name) {
  return (LANGUAGES[language].reasons[reason] ?? reason).replace('{name}', name);
}
