// AudioFilter.cs: a voice on a Unity GameObject. Put it below the AudioSource that plays the microphone's clip.
using UnityEngine;

namespace Rtvoice.Unity
{
    /// <summary>
    /// Runs an AudioSource, or the listener's mix, through a voice. <see cref="voice"/> is a <c>.rtv</c> file imported as a TextAsset
    /// (name it <c>whisper.bytes</c>); parameters may be changed while it plays.
    /// </summary>
    [AddComponentMenu("Audio/Rtvoice Filter")]
    public sealed class AudioFilter : MonoBehaviour
    {
        /// <summary>The voice: a .rtv file whose name ends in .bytes.</summary>
        public TextAsset voice;
        /// <summary>0: as it came in. 1: the voice alone.</summary>
        [Range(0f, 1f)] public float mix = 1f;
        /// <summary>Passes the input on, at equal latency.</summary>
        public bool bypass;
        /// <summary>Changes of parameters and bypass are faded over this long.</summary>
        [Range(0f, 1000f)] public float fadeMs = 20f;

        // Read by the audio thread, written by the main thread: a reference is written whole. An engine is made for one channel count and
        // one of the driver's rates; where they change, the audio thread plays silence until Update has made the next.
        private volatile Engine engine;
        private volatile int channels;
        private volatile int wanted;
        private float heardMix = 1f;
        private bool heardBypass;

        /// <summary>The engine in use, for parameters and statistics; null while there is none.</summary>
        public Engine Engine { get { return engine; } }

        private void OnEnable()
        {
            AudioSettings.OnAudioConfigurationChanged += Reconfigure;
            wanted = wanted == 0 ? Channels(AudioSettings.speakerMode) : wanted;
            Make();
        }

        private void OnDisable()
        {
            AudioSettings.OnAudioConfigurationChanged -= Reconfigure;
            Drop();
        }

        private void Reconfigure(bool deviceWasChanged)
        {
            if (isActiveAndEnabled) Make();
        }

        private void Update()
        {
            if (wanted != channels) Make();
            Engine running = engine;
            if (running == null) return;
            if (mix != heardMix) running.Set("mix", heardMix = mix);
            if (bypass != heardBypass) running.Bypass = heardBypass = bypass;
        }

        private void Make()
        {
            Drop();
            channels = wanted;
            if (voice == null)
            {
                Debug.LogError("Rtvoice: no voice is set; drag a .rtv file renamed to .bytes onto this component", this);
                return;
            }
            try
            {
                using (Model model = Model.Open(voice.bytes))
                {
                    Engine made = new Engine(model, new EngineConfig { SampleRate = AudioSettings.outputSampleRate, Channels = channels, FadeMs = fadeMs });
                    made.Set("mix", heardMix = mix);
                    made.Bypass = heardBypass = bypass;
                    engine = made;
                }
            }
            catch (RtvoiceException error)
            {
                Debug.LogError("Rtvoice: " + error.Message, this);
            }
        }

        // The handle is counted: a call on the audio thread that still runs keeps the native engine.
        private void Drop()
        {
            Engine old = engine;
            engine = null;
            if (old != null) old.Dispose();
        }

        private static int Channels(AudioSpeakerMode mode)
        {
            switch (mode)
            {
                case AudioSpeakerMode.Mono: return 1;
                case AudioSpeakerMode.Quad: return 4;
                case AudioSpeakerMode.Surround: return 5;
                case AudioSpeakerMode.Mode5point1: return 6;
                case AudioSpeakerMode.Mode7point1: return 8;
                default: return 2;
            }
        }

        // On Unity's audio thread: nothing is allocated here.
        private void OnAudioFilterRead(float[] data, int count)
        {
            Engine running = engine;
            if (count != channels)
            {
                wanted = count;
                running = null;
            }
            try
            {
                if (running != null && running.Process(data) == Status.Ok) return;
            }
            catch (System.ObjectDisposedException)
            {
                // Disposed between the read above and the call: the player's own voice must not slip through either.
            }
            System.Array.Clear(data, 0, data.Length);
        }
    }
}
